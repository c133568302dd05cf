"""Looking for the next message before sleeping: only where it came soon the last time, and never on one processor."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.process.rig import Rig

from weftrun.model.ids import SandboxId
from weftrun.model.limits import Limits
from weftrun.wire.awake import Awake

Make = Callable[[float], Rig]
WAIT_S = 20.0


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Rig] = []

    def rig(awake_s: float) -> Rig:
        made.append(Rig(tmp_path, Limits(awake_s=awake_s)))
        return made[-1]

    yield rig
    for one in made:
        one.close()


def used_between_two_calls_s(rig: Rig, sandbox: SandboxId, pause_s: float) -> float:
    before: float = rig.call(sandbox, "used_s")
    time.sleep(pause_s)
    after: float = rig.call(sandbox, "used_s")
    return after - before


def test_it_looks_after_a_message_that_came_soon_and_sleeps_after_one_that_did_not() -> None:
    awake = Awake(0.3)
    assert awake.seconds == 0.0
    awake.waited(0.2)
    assert awake.seconds == 0.3
    awake.waited(0.3)
    assert awake.seconds == 0.0


def test_a_limit_of_nothing_always_sleeps() -> None:
    awake = Awake(0.0)
    awake.waited(0.0)
    assert awake.seconds == 0.0


@pytest.mark.skipif(len(os.sched_getaffinity(0)) == 1, reason="nobody looks on one processor")
def test_a_sandbox_whose_messages_come_soon_stays_awake(make: Make) -> None:
    rig = make(60.0)
    sandbox = rig.ready()
    until = time.monotonic() + WAIT_S
    while used_between_two_calls_s(rig, sandbox, 0.2) < 0.05:
        assert time.monotonic() < until


def test_a_sandbox_sleeps_where_the_limit_is_nothing(make: Make) -> None:
    rig = make(0.0)
    sandbox = rig.ready()
    assert used_between_two_calls_s(rig, sandbox, 0.5) < 0.1


def test_on_two_processors_one_sandbox_looks_beside_the_engine(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    rig = make(60.0)
    first, second = rig.ready(), rig.ready()
    until = time.monotonic() + WAIT_S
    while True:
        before: float = rig.call(first, "used_s")
        rig.call(second, "inc", 1)
        time.sleep(0.5)
        after: float = rig.call(first, "used_s")
        if after - before < 0.1:
            return
        assert time.monotonic() < until


def test_nobody_looks_on_one_processor(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    rig = make(60.0)
    sandbox = rig.ready()
    assert used_between_two_calls_s(rig, sandbox, 0.5) < 0.1
