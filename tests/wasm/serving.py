"""Serves the doors of Faasm on ports that are free: what `weftrun serve --compat faasm` does, for tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[str]:
    """Serve with a Journal in `folder`; give the URL."""
    words = ["serve", "--compat", "faasm", "--port", "0", "--storage-port", "0", "--sandboxes", "2", *options]
    command = [sys.executable, "-m", "weftrun", *words, "--db", f"sqlite:///{folder}/journal.db"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = re.search(r"http://[\w.:]+", server.stdout.readline())
            assert told is not None
            yield told[0]
        finally:
            server.terminate()
