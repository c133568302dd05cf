"""Values between Workers that keep what they make: from one to the other, and made again where they are lost."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.engine import hosts as h
from tests.engine.apart import apart
from tests.engine.leftovers import wait_until
from tests.engine.test_hosts import workers

import weftrun
from weftrun.adapters.hosts import local

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
