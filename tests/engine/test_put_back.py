"""Take-overs that say nothing against a Run: it must not be parked for them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine import programs as p
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader
from weftrun.ports.journal import RunInfo

TIMES = 3
"""More than the take-overs after which a Run that ends its engine is parked (`takeovers_max`)."""


def test_engines_that_are_closed_in_good_order(url: str, tmp_path: Path) -> None:
    """A program that is restarted often must not lose the Run whose Step takes long."""
    gate = tmp_path / "gate"
    with weftrun.open(url, sandboxes=1) as engine:
        engine.start(p.waits.options(id="long"), str(gate))
        engine.close(drain_s=0)
    for _ in range(TIMES):
        weftrun.open(url, sandboxes=1).close(drain_s=0)
    gate.touch()
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("long").result(30) == "open"


def test_many_threads_ask_for_one_run(url: str, tmp_path: Path) -> None:
    """It is taken over once: a second owner would be a stranger to the records of the first."""
    gate = tmp_path / "gate"
    with weftrun.open(url, sandboxes=1) as engine:
        engine.start(p.waits.options(id="long"), str(gate))
        engine.close(drain_s=0)
    gate.touch()
    with weftrun.open(url, sandboxes=1, recover="none") as engine, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: engine.get("long").result(30), range(16))) == ["open"] * 16


STARTED = """
import sys, weftrun
from theirs import flow
engine = weftrun.open(sys.argv[1], sandboxes=1)
for id in sys.argv[3:]:
    engine.start(flow.options(id=id), sys.argv[2])
engine.close(drain_s=0)
"""
THEIRS = """
import time
from pathlib import Path
from weftrun import function
@function
def flow(gate):
    while not Path(gate).exists():
        time.sleep(0.01)
    return "theirs"
"""


@pytest.fixture
def theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of another program: this one has it only while it lies there."""
    module = tmp_path / "theirs.py"
    module.write_text(THEIRS)
    source = str(Path(weftrun.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{source}")
    return module


def start_theirs(url: str, module: Path, *ids: str) -> None:
    """Start Runs of the module in the other program and close that; then take the module away."""
    gate = module.with_name("gate")
    command = [sys.executable, "-c", STARTED, url, str(gate), *ids]
    subprocess.run(command, check=True, timeout=60, cwd=module.parent)
    gate.touch()
    module.rename(module.with_name("away.py"))


def test_engines_that_have_not_the_code(url: str, theirs: Path) -> None:
    """The Run stays as it is for the program that has it."""
    start_theirs(url, theirs, "theirs")
    for _ in range(TIMES):
        with weftrun.open(url, sandboxes=1) as engine:
            run = engine.get("theirs")
            with pytest.raises(weftrun.WeftrunError, match="stays as it is"):
                run.result(30)
    theirs.with_name("away.py").rename(theirs)
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("theirs").result(30) == "theirs"


@pytest.mark.sweep
def test_runs_that_are_left_alone_stand_in_nobodys_way(url: str, theirs: Path) -> None:
    """More than are taken over at once (100): what is handed over behind them is taken over all the same."""
    start_theirs(url, theirs, *(f"theirs-{n}" for n in range(101)))
    gate = theirs.with_name("other-gate")
    with weftrun.open(url, sandboxes=1):
        until(lambda: [(run.epoch, run.owner) for run in open_runs(url)] == [(2, "")] * 101)
        with weftrun.open(url, sandboxes=1, recover="none") as other:
            other.start(p.waits.options(id="one"), str(gate))
            other.close(drain_s=0)
        gate.touch()
        until(lambda: "one" not in [run.id for run in open_runs(url)])


def open_runs(url: str) -> list[RunInfo]:
    reader = open_reader(url)
    try:
        return reader.runs(status="running", limit=200)
    finally:
        reader.close()
