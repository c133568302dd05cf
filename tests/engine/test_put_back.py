"""Take-overs that say nothing against a Run: it must not be parked for them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine import programs as p

import weftrun

TIMES = 7
"""More than the take-overs after which a Run that ends its engine is parked (`takeovers_max`)."""


def test_engines_that_are_closed_in_good_order(url: str, tmp_path: Path) -> None:
    """A program that is restarted often must not lose the Run whose Step takes long."""
    gate = tmp_path / "gate"
    with weftrun.open(url, workers=1) as engine:
        engine.start(p.waits.options(id="long"), str(gate))
        engine.close(drain_s=0)
    for _ in range(TIMES):
        weftrun.open(url, workers=1).close(drain_s=0)
    gate.touch()
    with weftrun.open(url, workers=1) as engine:
        assert engine.get("long").result(30) == "open"


def test_many_threads_ask_for_one_run(url: str, tmp_path: Path) -> None:
    """It is taken over once: a second owner would be a stranger to the records of the first."""
    gate = tmp_path / "gate"
    with weftrun.open(url, workers=1) as engine:
        engine.start(p.waits.options(id="long"), str(gate))
        engine.close(drain_s=0)
    gate.touch()
    with weftrun.open(url, workers=1, recover="none") as engine, ThreadPoolExecutor(16) as threads:
        assert list(threads.map(lambda _: engine.get("long").result(30), range(16))) == ["open"] * 16


STARTED = """
import sys, weftrun
from theirs import flow
engine = weftrun.open(sys.argv[1], workers=1)
engine.start(flow.options(id="theirs"), sys.argv[2])
engine.close(drain_s=0)
"""
THEIRS = """
from pathlib import Path
from weftrun import function
@function
def flow(gate):
    while not Path(gate).exists():
        time.sleep(0.01)
    return "theirs"
"""


def test_engines_that_have_not_the_code(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Run stays as it is for the program that has it."""
    module, gate = tmp_path / "theirs.py", tmp_path / "gate"
    module.write_text(THEIRS)
    source = str(Path(weftrun.__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{source}")
    subprocess.run([sys.executable, "-c", STARTED, url, str(gate)], check=True, timeout=60, cwd=tmp_path)
    gate.touch()
    module.rename(tmp_path / "away.py")
    for _ in range(TIMES):
        with weftrun.open(url, workers=1) as engine:
            run = engine.get("theirs")
            with pytest.raises(weftrun.WeftrunError, match="stays as it is"):
                run.result(30)
    (tmp_path / "away.py").rename(module)
    with weftrun.open(url, workers=1) as engine:
        assert engine.get("theirs").result(30) == "theirs"
