"""What bounds the entering of bodies while an engine begins another session, or reads a Run again (O3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from weftrun.model.errors import JournalFull, LeaseLost
from weftrun.model.ids import SessionUid
from weftrun.model.lease import Session
from weftrun.runtime.ownership import Ownership

TTL_S = 10.0


class Desk:
    """An `Ownership` whose ports do at once, and without a word, what they are asked to.

    Attributes:
        holds: until when bodies may be entered, as the Sandboxes were told.
        fails: whether nothing can be written.
        stuck: whether writes wait, and what waits then.
        losing: what the engine does when all its Runs are lost.
        dead: sessions whose processes have ended.
        declared_dead: those that were declared dead.
    """

    def __init__(self) -> None:
        self.holds: list[float] = []
        self.fails = False
        self.stuck: list[Callable[[], None]] | None = None
        self.dead: list[Session] = []
        self.declared_dead: list[Session] = []
        self.losing = lambda: None
        nothing = lambda *_, **__: None  # noqa: E731
        loop = SimpleNamespace(now=lambda: 100.0, call_at=lambda *_: SimpleNamespace(cancel=nothing))
        committer = SimpleNamespace(write=self._write, read=self._read, renew=nothing)
        worker = SimpleNamespace(hold_until=self.holds.append, fence=nothing)
        reaction = SimpleNamespace(
            lost=lambda: self.losing(),  # noqa: PLW0108 - it is set later
            waited_for=list, asked_for=list, owned=lambda: 0,
            wanted=lambda: 0, sinks=list, broke=nothing, seen=nothing,
        )  # fmt: skip
        journal = SimpleNamespace(begin=nothing, sessions=lambda: self.dead, declare_dead=self._declare_dead)
        liveness = SimpleNamespace(begin=nothing, ended=lambda _: True, forget=nothing)
        self.own = Ownership(
            loop, journal, liveness, SimpleNamespace(uid=lambda: "uid"), committer,
            worker, reaction, ttl_s=TTL_S, watch=nothing, hints=(),
        )  # fmt: skip

    def _write(self, work, done, failed) -> None:
        if self.fails:
            failed(JournalFull("there is no room"))
        elif self.stuck is not None:
            self.stuck.append(lambda: done(work()))
        else:
            done(work())

    def _read(self, work, done, _failed, *, is_quick=False) -> None:
        done(work())

    def _declare_dead(self, session: Session) -> bool:
        self.dead.remove(session)
        self.declared_dead.append(session)
        return True


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.own.counted(1)
    assert desk.holds == [100.0 + TTL_S]
    return desk


def test_a_session_that_was_lost_bounds_nothing_in_the_next_one(desk: Desk) -> None:
    """A sink asks for the next session at once, before the loss is over."""

    def losing() -> None:
        desk.own.counted(0)
        desk.own.claims(list)

    desk.losing = losing
    desk.own.fenced()
    assert desk.holds[-1] == math.inf


def test_a_run_that_is_read_again_is_owned_meanwhile(desk: Desk) -> None:
    desk.own.reads_again()
    desk.own.counted(0)
    assert desk.holds == [100.0 + TTL_S]
    desk.own.counted(1)
    desk.own.read()
    assert desk.holds == [100.0 + TTL_S]
    desk.own.counted(0)
    assert desk.holds[-1] == math.inf


def test_without_a_session_nothing_is_claimed() -> None:
    """An engine that closes tries to make one once."""
    desk = Desk()
    desk.fails = True
    claim = desk.own.claims(lambda: pytest.fail("it was claimed for nobody"))
    with pytest.raises(LeaseLost):
        claim()


def test_what_is_claimed_is_the_sessions(desk: Desk) -> None:
    claim = desk.own.claims(lambda: "claimed")
    assert claim() == "claimed"


def test_a_session_is_declared_dead_once_however_often_it_is_seen(desk: Desk) -> None:
    """While something stands in the Journal's way each look finds it, and a closing engine tries all that waits."""
    dead = [Session(SessionUid(uid), "host", 1, "lock", TTL_S) for uid in ("one", "other")]
    desk.dead = [*dead]
    desk.stuck = []
    for _ in range(3):
        desk.own.look()
    assert len(desk.stuck) == 2
    for declare_dead in desk.stuck:
        declare_dead()
    assert desk.declared_dead == dead
