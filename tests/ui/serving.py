"""`weftrun ui` as a process, and a browser in front of it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

BROWSER = "chromium"
WAIT_S = 60.0


class Served(NamedTuple):
    """The page: the address that is good once, and the process."""

    address: str
    process: subprocess.Popen[str]

    @property
    def root(self) -> str:
        """The address without its token."""
        return self.address.partition("?")[0]


@contextlib.contextmanager
def served(url: str, port: int = 0) -> Iterator[Served]:
    """Serve the page of a Journal."""
    command = [sys.executable, "-m", "weftrun", "ui", "--db", url, "--no-browser", "--json"]
    process = subprocess.Popen([*command, "--port", str(port)], stdout=subprocess.PIPE, text=True, env=os.environ)
    assert process.stdout is not None
    try:
        said = ""
        while "}" not in said:
            line = process.stdout.readline()
            assert line, f"weftrun ui ended with {process.wait()}"
            said += line
        yield Served(json.loads(said)["url"], process)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(WAIT_S)
        process.stdout.close()


@contextlib.contextmanager
def browser() -> Iterator[Any]:
    """A real Chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api")
    program = shutil.which(BROWSER)
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()
