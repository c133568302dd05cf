"""Values between Workers that keep what they make: from one to the other, and made again where they are lost."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import cast

import pytest
from tests.engine import hosts as h
from tests.engine.apart import apart
from tests.engine.leftovers import wait_until
from tests.engine.test_hosts import workers

import weftrun
from weftrun.adapters.hosts import local
from weftrun.entrypoints.cli.options import look, reading
from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.views.lanes import lanes
from weftrun.views.picture import picture
from weftrun.views.step import StepView
from weftrun.views.timeline import timeline

CONTROLS = ("worker", "master")
pytestmark = pytest.mark.sweep


@pytest.mark.parametrize("control", CONTROLS)
def test_answers_are_those_of_one_process(url: str, control: str) -> None:
    with apart() as known, weftrun.open(url, cluster="local:3", control=control, placement="hash") as engine:
        wait_until(lambda: len(known[0]._reaches) == 6, "all have met")
        for _ in range(2):
            assert engine.run(h.woven, 4, 3, 20_000) == 2.0 * 20_000
            assert engine.run(h.woven, 4, 3, 10) == 20.0
        assert engine.run(h.chain, 30) == 30
        assert engine.run(h.joined, 200_000) == 800_000.0
        assert engine.run(h.mapped, 500) == [2 * i for i in range(500)]
        assert engine.run(h.caught) == "no 3"
        wait_until(lambda: not known[0]._kept, "nothing is kept for Runs that have ended")
    assert not workers()


@pytest.mark.parametrize("control", CONTROLS)
def test_steps_tell_how_values_came_to_them(url: str, control: str) -> None:
    """Every edge of a Step that has run tells of the bytes, and of the Worker that they came from."""
    nbytes = 8 * 20_000
    with apart() as known, weftrun.open(url, cluster="local:3", control=control, placement="hash") as engine:
        wait_until(lambda: len(known[0]._reaches) == 6, "all have met")
        run = engine.start(h.woven, 4, 3, 20_000)
        assert run.result(60) == 2.0 * 20_000
        run.logs()  # writes what the trace has gathered
        steps = {str(step.id): cast(StepView, step) for step in run.steps()}
    ways: Counter[str] = Counter()
    for step in steps.values():
        for came in step.came:
            made_at = steps[came.step].sandbox // SANDBOXES_EACH
            read_at = step.sandbox // SANDBOXES_EACH
            assert nbytes < came.nbytes < nbytes + 1_000
            assert came.way == ("local" if made_at == read_at else "fetched")
            assert came.worker == made_at
            ways[came.way] += 1
    assert ways.total() == 4 * 3 * 2 + 1, "each edge of the graph"
    assert ways["fetched"] > 0
    with reading(url) as reader:
        seen = look(reader, run.id)
    line = timeline(seen.rows, seen.trace)
    assert {transfer.source for transfer in line.transfers} <= {1, 2, 3}
    assert all(transfer.came_at >= transfer.began_at for transfer in line.transfers)
    assert any(text.startswith("to 1 ") for text in lanes(line))
    assert "to Worker 1" in picture(line)


@pytest.mark.parametrize("control", CONTROLS)
def test_workers_that_hold_the_only_copy_die(url: str, control: str, tmp_path: Path) -> None:
    with apart(), weftrun.open(url, cluster="local:3", control=control, placement="hash") as engine:
        run = engine.start(h.woven_slowly, 6, 4, 20_000, str(tmp_path))
        for number in range(3):
            wait_until(lambda n=number: len(list(tmp_path.iterdir())) >= 4 + 6 * n, "some layers are done")
            os.kill(workers()[0], signal.SIGKILL)
            wait_until(lambda: len(workers()) == 3, "another Worker is started")
        assert run.result(60) == 2.0 * 20_000
    assert not workers()


def test_workers_that_nobody_reaches(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their values go through the engine."""
    monkeypatch.setattr(local, "_LOOPBACK", "192.0.2.1")  # of no host
    with apart() as known, weftrun.open(url, cluster="local:2", placement="hash") as engine:
        assert engine.run(h.woven, 4, 3, 20_000) == 2.0 * 20_000
        assert not known[0]._reaches
        os.kill(workers()[0], signal.SIGKILL)
        wait_until(lambda: len(workers()) == 2, "another Worker is started")
        assert engine.run(h.woven, 4, 3, 20_000) == 2.0 * 20_000
