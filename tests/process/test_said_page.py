"""What a Worker notes of Batches is found when it is gone: all of it, and nothing that was cleared."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from weftrun.model.ids import RunUid, SandboxId, StepId
from weftrun.model.work import BatchHolds, BatchSent
from weftrun.wire.said_page import SaidPage


def batch(number: int, size: int = 1) -> BatchSent:
    holds = BatchHolds(tuple((1, number, attempt, 0) for attempt in range(size)))
    return BatchSent(RunUid("uid"), SandboxId(1), "f", StepId(f"f[{number}]"), 1, size, holds=holds)


@pytest.fixture
def ends() -> Iterator[tuple[SaidPage, SaidPage]]:
    """The page as the Worker and as the engine have it."""
    descriptor = SaidPage.make()
    worker, engine = SaidPage(descriptor), SaidPage(descriptor)
    os.close(descriptor)
    yield worker, engine
    worker.close()
    engine.close()


def test_what_is_noted_is_found_until_it_is_cleared(ends: tuple[SaidPage, SaidPage]) -> None:
    worker, engine = ends
    assert engine.noted() == [] and worker.is_clear
    assert worker.note(batch(1)) and worker.note(batch(2, 300))
    assert engine.noted() == [batch(1), batch(2, 300)] and not worker.is_clear
    worker.clear()
    assert engine.noted() == [] and worker.is_clear
    assert worker.note(batch(3))
    assert engine.noted() == [batch(3)]


def test_what_has_no_room_is_refused_whole(ends: tuple[SaidPage, SaidPage]) -> None:
    worker, engine = ends
    noted = 0
    while worker.note(batch(noted, 500)):
        noted += 1
    assert engine.noted() == [batch(number, 500) for number in range(noted)] and noted > 3
    assert worker.note(batch(99)), "a smaller one has room still"
    assert engine.noted()[-1] == batch(99)
