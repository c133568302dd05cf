"""Queues: Runs for which there is a place are taken out of them; and how they are made and changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from weftrun.machines.queue import Leaving, declared, full_keys, leave, limited, places
from weftrun.model.errors import JournalBusy, LeaseLost, RunNotFound, WeftrunError
from weftrun.model.queues import KeptQueue, QueueCounts, QueueLanes, QueueLimits, QueueSeen
from weftrun.model.records import Row
from weftrun.model.telling import did_you_mean
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import Journal, Message
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.queues import Queues as Stored
from weftrun.runtime.committer import Committer
from weftrun.runtime.ownership import Ownership

_TRIES = 50
"""A change is tried so often where others change the same queue."""
_PURGED = 1_000
"""Runs that are cancelled in one transaction."""


class Beginning(Protocol):
    """What goes on with Runs that have left their queue."""

    def room_in(self, queue: str) -> int:
        """Return how many Runs of a queue may be taken now."""

    def begin_queued(self, rows: Sequence[Row], messages: Sequence[Message], begun_at: float) -> None:
        """Go on with Runs that are this engine's now, each with its only row; their claim was begun then."""


class Leavings:
    """Takes Runs out of queues when there is a place for them and this engine has room. On the loop.

    Of each queue one decision is made at a time.
    """

    def __init__(
        self, loop: Loop, journal: Journal, committer: Committer, entropy: Entropy, own: Ownership, begins: Beginning
    ) -> None:
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._entropy = entropy
        self._own = own
        self._begins = begins
        self._busy: set[str] = set()
        self._again: set[str] = set()
        self._ripe: set[str] = set()
        self._ripening: dict[str, tuple[float, Handle]] = {}
        self._limited: dict[str, tuple[float, Handle]] = {}
        self._ended = False

    def seen(self, found: Sequence[QueueSeen]) -> None:
        """Take out of these queues what may leave them, now or when it is due."""
        for queue in found:
            now = self._loop.now()
            if queue.next_at is not None and queue.next_at <= now:
                self._ripe.add(queue.name)
                self.look(queue.name)
            elif queue.waits:
                self.look(queue.name)
            if queue.next_at is not None and queue.next_at > now:
                self._ripens_at(queue.name, queue.next_at)

    def queued(self, name: str, delay_s: float) -> None:
        """A Run waits in a queue, and may leave it at once, or after its delay."""
        if delay_s:
            self._ripens_at(name, self._loop.now() + delay_s)
        else:
            self.look(name)

    def freed(self, name: str) -> None:
        """A Run of a queue is open here no more: there may be a place, and room."""
        self.look(name)

    def look(self, name: str) -> None:
        """See who may leave a queue."""
        if self._ended or self._begins.room_in(name) <= 0:
            return
        if name in self._busy:
            self._again.add(name)
            return
        self._busy.add(name)
        # What happens in this turn of the loop is decided on together.
        self._loop.call_soon(lambda: self._decide(name))

    def end(self) -> None:
        """Take nothing out any more: the engine is being closed."""
        self._ended = True
        for _, timer in (*self._ripening.values(), *self._limited.values()):
            timer.cancel()

    def _decide(self, name: str) -> None:
        room, begun_at = self._begins.room_in(name), self._loop.now()
        if self._ended or room <= 0:
            self._over(name)
            return
        is_ripe = name in self._ripe
        self._ripe.discard(name)
        deciding = _Deciding(self._journal, self._entropy, name, begun_at, room, is_ripe=is_ripe)

        def done(taken: _Taken) -> None:
            leaving = taken.leaving
            if taken.rows:
                self._begins.begin_queued(taken.rows, taken.messages, begun_at)
            else:
                self._own.claim_failed()
            if leaving.goes_on:
                self._again.add(name)
            elif leaving.again_at is not None:
                self._call_at(self._limited, name, leaving.again_at, lambda: self.look(name))
            self._over(name)

        def failed(error: WeftrunError) -> None:
            self._own.claim_failed()
            if isinstance(error, LeaseLost):
                self._own.fenced()
            self._over(name)  # the next look finds it as it is

        self._committer.write(self._own.claims(deciding.work), done, failed)

    def _over(self, name: str) -> None:
        self._busy.discard(name)
        if name in self._again:
            self._again.discard(name)
            self.look(name)

    def _ripens_at(self, name: str, at: float) -> None:
        """A Run that was delayed is due then."""

        def came() -> None:
            self._ripe.add(name)
            self.look(name)
            self._own.look_soon()  # which says when the next one is due

        self._call_at(self._ripening, name, at, came)

    def _call_at(self, timers: dict[str, tuple[float, Handle]], name: str, at: float, then: Callable[[], None]) -> None:
        before = timers.get(name)
        if self._ended or (before is not None and before[0] <= at):
            return
        if before is not None:
            before[1].cancel()

        def came() -> None:
            del timers[name]
            then()

        timers[name] = at, self._loop.call_at(at, came)


class _Taken(Struct, frozen=True):
    """What was taken out of a queue, and what the inbox has for this engine's Runs then."""

    leaving: Leaving
    rows: tuple[Row, ...] = ()
    messages: tuple[Message, ...] = ()


class _Deciding:
    """One decision on a queue, in the Journal's lane. Its work may be done again when nobody knows what became of it.

    Args:
        room: how many Runs the engine has room for.
        is_ripe: whether Runs that were delayed may be due.
    """

    def __init__(self, journal: Journal, entropy: Entropy, name: str, now: float, room: int, *, is_ripe: bool) -> None:
        self._journal = journal
        self._entropy = entropy
        self._name = name
        self._now = now
        self._room = room
        self._is_ripe = is_ripe
        self._decided: tuple[Leaving, str] | None = None

    def work(self) -> _Taken:
        """Read, decide, and write what was decided, unless another engine was quicker; then once more."""
        leaving = Leaving(KeptQueue(self._name, ""))
        for _ in range(_TRIES):
            if self._decided is None:
                self._decided = self._decide()
            leaving, expected = self._decided
            if not leaving.runs:
                break
            rows = self._journal.begin_queued(leaving.queue, expected, leaving.runs)
            if rows:
                return _Taken(leaving, tuple(rows), tuple(self._journal.inbox()))
            self._decided = None
        return _Taken(leaving)

    def _decide(self) -> tuple[Leaving, str]:
        """Return what leaves the queue, and the revision that this was decided on."""
        if self._is_ripe:
            self._journal.ripen(self._name, self._now)
        found = self._journal.queue_now(self._name)
        if found is None:  # it was deleted
            return Leaving(KeptQueue(self._name, "")), ""
        wanted = places(found, self._now, self._room)
        lanes = self._journal.lanes(found.queue, full_keys(found), wanted) if wanted else QueueLanes()
        leaving = leave(found, lanes, self._now, self._room)
        if leaving.runs:
            leaving = replace(leaving, queue=replace(leaving.queue, revision=self._entropy.uid()))
        return leaving, found.queue.revision


class QueueBook:
    """Makes and changes queues; blocks, where the Journal's own calls may."""

    def __init__(self, stored: Stored, entropy: Entropy) -> None:
        self._stored = stored
        self._entropy = entropy

    def declare(self, name: str, limits: QueueLimits) -> KeptQueue:
        """Say, as a program, what a queue is limited to; it is made where there is none."""
        return self._change(name, lambda before: declared(before, name, limits))

    def set(self, name: str, changes: Mapping[str, object], *, makes: bool = False) -> KeptQueue:
        """Set some limits of a queue, as an operator.

        Args:
            makes: whether it is made where there is none.
        """

        def change(before: KeptQueue | None) -> KeptQueue:
            return limited(before if makes else self._there(before, name), name, changes)

        return self._change(name, change)

    def pause(self, name: str, *, paused: bool) -> KeptQueue:
        """Let nothing leave a queue, or let it go on."""
        return self._change(name, lambda before: replace(self._there(before, name), is_paused=paused))

    def purge(self, name: str) -> int:
        """Cancel all Runs that wait in a queue; return how many."""
        self._there(self._stored.queue(name), name)
        message, total = self._entropy.uid(), 0
        while count := self._stored.purge_queue(name, message, _PURGED):
            total += count
        return total

    def delete(self, name: str) -> None:
        """Delete a queue in which no Run is."""
        if not self._stored.delete_queue(name):
            raise self._not_found(name)

    def get(self, name: str) -> QueueCounts:
        """Return a queue, with what is in it."""
        found = [counts for counts in self.all() if counts.queue.name == name]
        if not found:
            raise self._not_found(name)
        return found[0]

    def all(self) -> list[QueueCounts]:
        """Return all queues by their names, with what is in them."""
        return self._stored.queues()

    def _change(self, name: str, change: Callable[[KeptQueue | None], KeptQueue]) -> KeptQueue:
        for _ in range(_TRIES):
            before = self._stored.queue(name)
            after = change(before)
            if after == before:
                return after
            after = replace(after, revision=self._entropy.uid())
            if self._stored.put_queue(after, before.revision if before is not None else ""):
                return after
        raise JournalBusy(f"The queue {name} is being changed by others all the time. Try again.")

    def _there(self, found: KeptQueue | None, name: str) -> KeptQueue:
        if found is None:
            raise self._not_found(name)
        return found

    def _not_found(self, name: str) -> WeftrunError:
        hint = did_you_mean(name, [counts.queue.name for counts in self.all()])
        return RunNotFound(f"No queue has the name {name!r}; `weftrun queue list` shows those there are.{hint}")
