"""This engine among others: its session and Lease, what it sees of them, and what falls to it (O1).

Everything runs on the loop; the Journal is asked between two commits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from msgspec import Struct

from weftrun.machines.lease import LeaseMachine
from weftrun.model.errors import LeaseLost, WeftrunError
from weftrun.model.ids import RunUid, SessionUid
from weftrun.model.lease import DeclareDead, EnterUntil, LeaseEvent, Looked, Owning, Renew, Renewed, Session, Ticked
from weftrun.model.queues import QueueSeen
from weftrun.model.schedules import SET_BACK_S, KeptSchedule
from weftrun.ports.entropy import Entropy
from weftrun.ports.hints import Hints
from weftrun.ports.journal import Journal, Message, RunInfo
from weftrun.ports.liveness import Liveness
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.worker import Worker
from weftrun.runtime.committer import Committer
from weftrun.runtime.hinted import Hinted

_PARKED_MAX = 1_000
"""Runs that wait for code, of which so many are looked at."""

T = TypeVar("T")
Watch = Callable[[Sequence[Session], Callable[[], None]], None]


class SeenJournal(Struct, frozen=True):
    """What one look at the Journal has shown.

    Attributes:
        waited_for: what is known of the Runs that were asked for.
        sinks: those for which nobody delivers.
        due_at: when the next Run is due that was suspended; None where there is none, or it concerns nobody here.
        parked: Runs that wait for code.
        schedules: those that must be looked at, and the one that must be next.
        queues: those in which Runs wait.
    """

    sessions: tuple[Session, ...] = ()
    ended: frozenset[SessionUid] = frozenset()
    messages: tuple[Message, ...] = ()
    free: tuple[RunInfo, ...] = ()
    asked_for: tuple[RunUid, ...] = ()
    waited_for: tuple[RunInfo, ...] = ()
    sinks: tuple[str, ...] = ()
    due_at: float | None = None
    parked: tuple[RunInfo, ...] = ()
    schedules: tuple[KeptSchedule, ...] = ()
    queues: tuple[QueueSeen, ...] = ()


class Reaction(Protocol):
    """What becomes of what was seen."""

    def seen(self, seen: SeenJournal) -> None:
        """Take messages, free Runs, and what became of Runs of other engines."""

    def waited_for(self) -> Sequence[RunUid]:
        """Return Runs of other engines that somebody waits for here."""

    def wanted(self) -> int:
        """Return how many free Runs to look for; 0 for none."""

    def owned(self) -> int:
        """Return how many open Runs this engine owns."""

    def sinks(self) -> Sequence[str]:
        """Return the sinks that this engine has."""

    def schedules_by(self) -> float | None:
        """Return the time by which schedules are due, by the host's clock; None where none is looked after."""

    def lost(self) -> None:
        """All Runs of this engine are another one's now, or free."""

    def broke(self, error: WeftrunError) -> None:
        """Nothing can be owned any more."""


class Ownership:
    """Holds the session and looks at the others.

    Args:
        ttl_s: how long a renewal of the Lease holds, in seconds.
        watch: calls back on the loop soon after the process of one of these sessions has ended, where that can be seen.
        hints: says when to look, where somebody does.

    Attributes:
        hinted: makes looks of hints.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        liveness: Liveness,
        entropy: Entropy,
        committer: Committer,
        worker: Worker,
        reaction: Reaction,
        *,
        ttl_s: float,
        watch: Watch,
        hints: Sequence[Hints],
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._liveness = liveness
        self._entropy = entropy
        self._committer = committer
        self._worker = worker
        self._reaction = reaction
        self._ttl_s = ttl_s
        self._watch = watch
        self._machine = LeaseMachine(ttl_s)
        self.hinted = Hinted(loop, journal, committer, hints, told_of=self._told_of, look=self._look_hinted)
        self._tick: Handle | None = None
        self._look_asked: Handle | None = None
        self._looking = self._looks_soon = False
        self._uid = SessionUid("")
        self._made = SessionUid("")
        self._session: Session | None = None
        self._alone = False
        self._due_at: float | None = None
        self._begun = False
        self._is_there = False
        self._losing = False
        self._open = 0
        self._claiming = 0
        self._reading = 0
        self._declaring_dead: set[SessionUid] = set()
        self._thens: list[Callable[[], None]] = []
        self._ended = False
        self._delivering = 0

    def need(self) -> None:
        """See that there is a session before anything is owned. An engine that only reads needs none."""
        if self._begun:
            return
        self._begun = True
        # Where a session was just lost, nothing of it may bound what is entered: the machine forgets it now.
        self._handle(Owning(self._loop.now(), 0))
        uid = self._uid = SessionUid(self._entropy.uid())
        self._machine.began(uid)

        def work() -> None:
            self._session = self._liveness.begin(uid, self._ttl_s)
            self._journal.begin(self._session)
            self._made = uid

        def done(_: None) -> None:
            self._is_there = True

        self._committer.write(work, done, self._reaction.broke)

    def counted(self, runs: int) -> None:
        """Say how many Runs are open here."""
        self._open = runs
        if not self._losing:  # what is left now is lost in a moment, and no reason for another session
            self._count(is_new=not self._claiming)

    def claims(self, work: Callable[[], T]) -> Callable[[], T]:
        """A claim is asked for, and what this returns does it; `claimed` or `claim_failed` says what became of it.

        Until then others may see that this engine owns something, or not. `LeaseLost` where no session could be made.
        """
        self.need()
        self._claiming += 1
        uid = self._uid

        def claim() -> T:
            if self._made != uid:  # in the Journal's lane, as the making was
                raise LeaseLost("This engine is being closed, and found no room for a session that could own anything.")
            return work()

        return claim

    def claimed(self, runs: int, begun_at: float) -> None:
        """So many Runs were claimed, which renewed the Lease; each is counted until `read` says that it was read."""
        self._claiming -= 1
        self._reading += runs
        self.renewed(begun_at)
        self._count(is_new=False)

    def took(self, begun_at: float) -> None:
        """A sink was looked after, which renewed the Lease; `delivering` says whether it is owned."""
        self._claiming -= 1
        self.renewed(begun_at)

    def claim_failed(self) -> None:
        """Nothing was claimed."""
        self._claiming -= 1

    def reads_again(self) -> None:
        """A Run of this engine is read once more, and is this engine's meanwhile; `read` says when it was."""
        self._reading += 1

    def read(self) -> None:
        """A Run that was claimed has been read: it is open here by now, or put back."""
        self._reading -= 1
        self._count(is_new=False)

    def delivering(self, sinks: int) -> None:
        """Say to how many sinks this engine delivers."""
        if sinks != self._delivering:
            self._delivering = sinks
            if not self._losing:
                self._count(is_new=False)

    def _count(self, *, is_new: bool) -> None:
        runs = self._open + self._reading + self._delivering
        if runs:
            self.need()
            if self._alone:
                self._alone = False
                self._cancel_look()
            self.look_later()
        self._handle(Owning(self._loop.now(), runs, is_new))

    def renewed(self, begun_at: float) -> None:
        """A transaction that renewed the Lease is durable."""
        self._handle(Renewed(self._loop.now(), begun_at))

    def may_enter(self) -> bool:
        """Say whether bodies may be entered now."""
        return self._loop.now() < self._machine.expires_at

    def fenced(self) -> None:
        """The session is gone: go on with nothing, and with another session when one is needed."""
        if not self._is_there:
            return  # it was told before; the next one is being made
        self._begun = self._is_there = False
        self._worker.fence()
        self._losing = True
        self._reaction.lost()
        self._losing = False
        self._reading = 0
        self._handle(Owning(self._loop.now(), 0))
        self.look()

    def end(self) -> None:
        """Look no more, and let nothing more be entered: what is put back may be another engine's in a moment."""
        self._ended = True
        self.hinted.end()
        self._worker.fence()
        for handle in (self._tick, self._look_asked):
            if handle is not None:
                handle.cancel()

    def leave(self, left: Callable[[], None]) -> None:
        """Remove the session, as far as the disk allows, and then say `left`; others find what remains of it."""

        def work() -> None:
            self._journal.leave()
            if self._session is not None:
                self._liveness.forget(self._session)

        self._committer.write(work, lambda _: left(), lambda _: left())

    # ------------------------------------------------------------------ the machine

    def _handle(self, event: LeaseEvent) -> None:
        for command in self._machine.handle(event):
            match command:
                case Renew():
                    self._committer.renew()
                case EnterUntil():
                    self._worker.hold_until(command.at)
                case DeclareDead():
                    self._declare_dead(command.session)
                case _:
                    if self._tick is not None:
                        self._tick.cancel()
                    self._tick = self._loop.call_at(command.at, self._ticked)

    def _ticked(self) -> None:
        self._tick = None
        self._handle(Ticked(self._loop.now()))

    def _declare_dead(self, session: Session) -> None:
        if session.uid in self._declaring_dead:
            return  # what stands in the Journal's way outlasts looks
        self._declaring_dead.add(session.uid)

        def work() -> None:
            if self._journal.declare_dead(session):
                self._liveness.forget(session)

        def over(then: Callable[[], None]) -> None:
            self._declaring_dead.remove(session.uid)
            if not self._declaring_dead:
                then()

        def failed(error: WeftrunError) -> None:
            self._failed(error)
            over(self._go_on)  # what could not be declared dead now is looked at again in a second

        self._committer.write(work, lambda _: over(lambda: self.look(self._go_on)), failed)

    def _go_on(self) -> None:
        thens, self._thens = self._thens, []
        for then in thens:
            then()

    # ------------------------------------------------------------------ looking

    def look(self, then: Callable[[], None] = lambda: None) -> None:
        """Look at the Journal now, and from now on every second while there is a reason to; then go on."""
        if self._ended or self._looking:
            then()
            return
        self._looking = True
        self._cancel_look()
        waited_for = tuple(self._reaction.waited_for())
        owned, wanted = self._reaction.owned(), self._reaction.wanted()
        sinks = tuple(self._reaction.sinks())
        wall = self._reaction.schedules_by() if wanted else None
        now = self._loop.now()

        def work() -> SeenJournal:
            sessions = tuple(self._journal.sessions())
            return SeenJournal(
                sessions,
                frozenset(session.uid for session in sessions if self._liveness.ended(session)),
                tuple(self._journal.inbox()) if owned else (),
                tuple(self._journal.free_runs(wanted, due_by=now)) if wanted else (),
                waited_for,
                tuple(self._journal.infos(waited_for)) if waited_for else (),
                tuple(self._journal.sinks_left(sinks)) if sinks else (),
                self._journal.next_due(after=now) if wanted else None,
                tuple(self._journal.parked_runs(_PARKED_MAX)) if wanted else (),
                tuple(self._journal.schedules_by(wall, set_back_s=SET_BACK_S)) if wall is not None else (),
                tuple(self._journal.queues_seen()) if wanted else (),
            )

        def done(seen: SeenJournal) -> None:
            self._looking = False
            others = [session for session in seen.sessions if session.uid != self._uid]
            self._watch(others, self.look_soon)
            self._alone = not (others or owned or waited_for)
            self._due_at = _sooner(seen.due_at, now, wall, seen.schedules)
            self._handle(Looked(now, self._loop.now(), seen.sessions, seen.ended))
            self._look_later()
            self._reaction.seen(seen)
            if self._declaring_dead:
                self._thens.append(then)
            else:
                then()

        def failed(error: WeftrunError) -> None:
            self._looking = False
            self._look_later()
            self._failed(error)
            then()

        self._committer.read(work, done, failed, is_quick=True)

    def _cancel_look(self) -> None:
        if self._look_asked is not None:
            self._look_asked.cancel()
            self._look_asked = None

    def look_soon(self) -> None:
        """Look again when what is being read of the Journal has been read."""

        def look(_: None) -> None:
            self._looks_soon = False
            self.look()

        if not self._looks_soon:
            self._looks_soon = True
            self._committer.read(lambda: None, look, lambda _: None)

    def look_later(self) -> None:
        """There is a reason to look now and then."""
        if self._look_asked is None and not self._looking and not self._ended:
            alone, listens = self._alone, self.hinted.begun
            at = self._machine.look_at(self._loop.now(), alone=alone, listens=listens, due_at=self._due_at)
            self._look_asked = self._loop.call_at(at, self._look_again)

    def _look_later(self) -> None:
        if self._has_reason():
            self.look_later()

    def _has_reason(self) -> bool:
        reaction = self._reaction
        return bool(reaction.wanted() or reaction.owned() or reaction.waited_for() or reaction.sinks())

    def _look_again(self) -> None:
        self._look_asked = None
        self.hinted.begin()
        self.look()

    def _look_hinted(self) -> None:
        if self._has_reason():
            self.look_soon()

    def _told_of(self, asked_for: Sequence[RunUid], found: Sequence[RunInfo]) -> None:
        self._reaction.seen(SeenJournal(asked_for=tuple(asked_for), waited_for=tuple(found)))

    def _failed(self, error: WeftrunError) -> None:
        """What can't be read now may be read the next time; what can't be owned is lost."""
        if isinstance(error, LeaseLost):
            self.fenced()


def _sooner(due_at: float | None, now: float, wall: float | None, schedules: Sequence[KeptSchedule]) -> float | None:
    """Return when the next Run or schedule is due, by the loop's clock, which is not set when the host's is."""
    waits = [s.wakes_at - wall for s in schedules if wall is not None and s.wakes_at is not None and s.wakes_at > wall]
    return min([*(now + wait for wait in waits), *([due_at] if due_at is not None else [])], default=None)
