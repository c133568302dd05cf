"""Queues, a part of the Journal: a row for each, and one for each of their Runs that has not ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, NotQueued, QueueCounts, QueueLanes, QueueNow, QueueSeen
from weftrun.model.records import Row


class QueueReader(Protocol):
    """What can be asked of queues."""

    def queues(self) -> list[QueueCounts]:
        """Return all queues by their names, with what is in them. Costs as much as they are long."""

    def queue(self, name: str) -> KeptQueue | None:
        """Return the queue with this name."""


class Queues(QueueReader, Protocol):
    """How Runs get into queues and out of them. Errors as of the Journal; each may be said again after `CommitUnknown`.

    A Run that is in a queue is nobody's, and can't be claimed before it leaves it. A cancel takes it out.
    """

    def put_queue(self, queue: KeptQueue, expected: str) -> bool:
        """Put a queue in the place of its revision `expected`; say whether that was there, or this one is already.

        Args:
            expected: empty where there must be none with this name.
        """

    def delete_queue(self, name: str) -> bool:
        """Delete a queue; say whether it was there. `UsageError` where Runs wait in it, or are under way."""

    def enqueue(self, rows: Sequence[Row], now: float) -> Mapping[RunUid, NotQueued]:
        """Put Runs into their queues, all in one transaction, and return those that were not taken.

        Args:
            rows: first rows, of a `Started` and an `Enqueued` record. One that is there already is passed over.
            now: by which it is told who is delayed, in seconds since the epoch.
        """

    def queues_seen(self) -> list[QueueSeen]:
        """Return the queues that are not paused and in which Runs wait."""

    def ripen(self, name: str, now: float) -> None:
        """Let Runs wait that were delayed until now, up to a thousand of them."""

    def queue_now(self, name: str) -> QueueNow | None:
        """Return a queue with what is under way; see `QueueNow` for the order."""

    def lanes(self, queue: KeptQueue, skip: Sequence[str], most: int) -> QueueLanes:
        """Return who waits, in the order of their turns.

        Args:
            queue: whose `turns` tell with which key each priority begins: the one after it, in the order of keys.
            skip: keys that are left out.
            most: lanes at most; all together have about twice as many Runs.
        """

    def begin_queued(self, queue: KeptQueue, expected: str, runs: Sequence[RunUid]) -> list[Row]:
        """Put a queue in the place of its revision `expected`, and let Runs leave it: they are this session's then.

        Returns the only row of each, and none where somebody else was quicker. One that was cancelled meanwhile is left
        out. Renews the Lease, and raises `LeaseLost`, as `claim` does. Said again, it returns those that have become
        this session's.
        """

    def purge_queue(self, name: str, message: str, most: int) -> int:
        """Cancel Runs that wait in a queue, the oldest first; return how many.

        Args:
            message: what the ids of the messages to them begin with.
            most: so many at most.
        """
