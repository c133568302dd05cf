"""What changes the Journal, in its turn, on a loop of virtual time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

import pytest

from weftrun.model.errors import JournalBusy, WeftrunError
from weftrun.model.ids import RunUid
from weftrun.ports.journal import Journal
from weftrun.runtime.committer import Committer
from weftrun.runtime.journal_queue import JournalQueue
from weftrun.runtime.suspend import Suspending
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.loop import SimLoop


class Told:
    """Puts works that tell when they are done, and when their end is told."""

    def __init__(self, seed: int) -> None:
        self.loop = SimLoop(Chance(seed, "loop"))
        self.said: list[str] = []
        self.writes = JournalQueue(self.loop, lambda _: None)

    def put(self, name: str, work: Callable[[], None] = lambda: None) -> None:
        self.writes.put(partial(self._do, name, work), lambda *_: self.said.append(f"{name} over"), self._failed)

    def put_once(self, name: str, work: Callable[[], None] = lambda: None) -> None:
        over = f"{name} over"
        self.writes.put_once(
            partial(self._do, name, work), lambda _: self.said.append(over), self._failed, lane=f"lane of {name}"
        )

    def _do(self, name: str, work: Callable[[], None]) -> None:
        self.said.append(name)
        work()

    def _failed(self, error: WeftrunError) -> None:
        self.said.append(str(error))

    def run(self) -> list[str]:
        while self.loop.turn():
            pass
        return self.said


def busy() -> None:
    raise JournalBusy("busy")


@pytest.mark.parametrize("seed", range(20))
def test_what_has_a_lane_of_its_own_waits_its_turn_all_the_same(seed: int) -> None:
    """Else a row of one session could be committed through a transaction, or refused, as if it was of the next one."""
    told = Told(seed)
    told.put("session")
    told.put_once("commit")
    told.put("claim")
    assert told.run() == ["session", "session over", "commit", "commit over", "claim", "claim over"]


def test_what_is_done_once_is_not_done_again() -> None:
    told = Told(1)
    told.put_once("commit", busy)
    told.put("claim")
    assert told.run() == ["commit", "busy", "claim", "claim over"], "and what comes later is done"


def test_what_is_to_be_done_is_done_again() -> None:
    told = Told(1)

    def work() -> None:
        if told.said.count("claim") < 3:
            busy()

    told.put("claim", work)
    assert told.run() == ["claim", "claim", "claim", "claim over"]


def test_one_that_closes_tries_nothing_behind_a_lock() -> None:
    told = Told(1)
    told.writes.give_up()
    told.put("free", busy)
    told.put("leave")
    told.put_once("commit")
    assert told.run() == ["free", "busy", "busy", "commit", "commit over"], "but it ends what is begun elsewhere"


def test_what_was_to_be_suspended_under_a_lost_session_is_not() -> None:
    """The next session may have claimed it by then, and would suspend what runs."""
    loop = SimLoop(Chance(1, "loop"))
    suspend: list[set[str]] = []

    class Kept:
        def suspend(self, waiting: dict[RunUid, float]) -> None:
            suspend.append(set(waiting))

        def write(self, work: Callable[[], None], done: Callable[[None], None], _: object) -> None:
            work()
            done(None)

    kept = Kept()
    suspending = Suspending(loop, cast(Journal, kept), cast(Committer, kept))
    suspending.add(RunUid("a"), 10.0)
    suspending.forget()
    suspending.add(RunUid("b"), 10.0)
    while loop.turn():
        pass
    assert suspend == [{"b"}]
