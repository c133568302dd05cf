"""What is larger than the table of limits allows is refused with one class of errors, that names the limit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.engine import programs as p

import weftrun
from weftrun.assembly import open_engine
from weftrun.entrypoints.cli.exits import Exit, exit_of
from weftrun.model.limits import Limits

SMALL = Limits(steps_max=20, depth_max=3, map_items_max=30, runs_open_max=2)


def test_every_limit_has_the_same_error(url: str) -> None:
    with open_engine(url, limits=SMALL, sandboxes=1) as engine:
        for function, n, limit in (
            (p.chain, 50, "steps_max, 20"),
            (p.sunk, 9, "depth_max, 3"),
            (p.mapped_fails, 50, r"more items than one map may have \(30\)"),
        ):
            with pytest.raises(weftrun.LimitExceeded, match=limit) as caught:
                engine.run(function, n)
            assert exit_of(caught.value) is Exit.USAGE


def test_runs_that_are_open_have_a_limit_too(url: str) -> None:
    with open_engine(url, limits=SMALL, sandboxes=1) as engine:
        runs = [engine.start(p.nap, 30.0) for _ in range(2)]
        with pytest.raises(weftrun.LimitExceeded, match="runs_open_max"):
            engine.start(p.inc, 1)
        for run in runs:
            run.cancel()
            with pytest.raises(weftrun.RunCancelled):
                run.result(30)
        assert engine.run(p.inc, 1) == 2


def test_the_processors_that_a_process_may_use_are_its_default_workers() -> None:
    program = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}); "
        "from weftrun.assembly import sandboxes_by_default; print(sandboxes_by_default())"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
