"""The demo, on a few hundred of the interpreter's own files."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_it_counts_and_answers_again(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/j.db"}
    command = [sys.executable, str(ROOT / "examples" / "wordcount.py"), "--id", "few", "--limit", "200"]
    runs = [
        subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=True)
        for _ in range(2)
    ]
    assert runs[0].stdout == runs[1].stdout
    assert len(runs[0].stdout.splitlines()) == 10
    assert "200 files" in runs[0].stderr
