"""Examples, run as a user runs them: a process of its own, in a folder of its own, with a Journal of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LEDGER = """\
import os, sys
with open(os.environ["LEDGER"], "a") as ledger:
    ledger.write(repr(sys.orig_argv) + "\\n")
"""


@dataclass
class Said:
    """What an example said, and how many zygotes were started for it: with none, no body can have run."""

    code: int
    out: str
    err: str
    zygotes: int


Example = Callable[..., Said]


@pytest.fixture
def example(tmp_path: Path) -> Example:
    """Run an example, by name or by path, with these words."""
    ledger, startup = tmp_path / "ledger", tmp_path / "startup"
    startup.mkdir()
    (startup / "sitecustomize.py").write_text(LEDGER)
    environment = {
        **os.environ,
        "LEDGER": str(ledger),
        "PYTHONPATH": f"{startup}:{ROOT / 'src'}",
        "WEFTRUN_DATABASE_URL": f"sqlite:///{tmp_path}/journal.db",
    }

    def run(program: str | Path, *words: object) -> Said:
        ledger.write_text("")
        command = [sys.executable, "-W", "error", str(ROOT / "examples" / program), *map(str, words)]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        started = ledger.read_text().splitlines()
        assert len(started) >= 1, "no process wrote into the ledger, so it would miss a zygote too"
        return Said(done.returncode, done.stdout, done.stderr, sum("weftrun.guest.zygote" in line for line in started))

    return run


@pytest.fixture
def without_scikit_learn(tmp_path: Path, example: Example) -> Example:
    """Run an example where scikit-learn can't be imported, whether it is installed or not."""
    hidden = tmp_path / "startup" / "sklearn.py"
    hidden.write_text("raise ModuleNotFoundError(\"No module named 'sklearn'\", name='sklearn')")
    return example
