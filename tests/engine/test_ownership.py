"""What bounds the entering of bodies while an engine begins another session, or reads a Run again (O3)."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

from weftrun.model.errors import JournalFull, LeaseLost
from weftrun.runtime.ownership import Ownership

TTL_S = 10.0


class Desk:
    """An `Ownership` whose ports do at once, and without a word, what they are asked to.

    Attributes:
        holds: until when bodies may be entered, as the Sandboxes were told.
        fails: whether nothing can be written.
        losing: what the engine does when all its Runs are lost.
    """

    def __init__(self) -> None:
        self.holds: list[float] = []
        self.fails = False
        self.losing = lambda: None
        nothing = lambda *_, **__: None  # noqa: E731
        loop = SimpleNamespace(now=lambda: 100.0, call_at=lambda *_: SimpleNamespace(cancel=nothing))
        committer = SimpleNamespace(write=self._write, read=nothing, renew=nothing)
        sandboxes = SimpleNamespace(hold_until=self.holds.append, fence=nothing)
        reaction = SimpleNamespace(
            lost=lambda: self.losing(),  # noqa: PLW0108 - it is set later
            may_enter_again=nothing, waited_for=list, asked_for=list, owned=lambda: 0,
            wanted=lambda: 0, sinks=list, broke=nothing,
        )  # fmt: skip
        self.own = Ownership(
            loop, SimpleNamespace(begin=nothing), SimpleNamespace(begin=nothing), SimpleNamespace(uid=lambda: "uid"),
            committer, sandboxes, reaction, ttl_s=TTL_S, watch=nothing, hints=(),
        )  # fmt: skip

    def _write(self, work, done, failed) -> None:
        if self.fails:
            failed(JournalFull("there is no room"))
        else:
            done(work())


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
