"""Queues: how many of their Runs may be under way, and what is on record of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from weftrun.model.ids import RunUid

PRIORITIES = 10
"""Priorities are 0 to 9; of two Runs that wait, the one with the lower number begins first."""
USUAL_PRIORITY = 5
RATE_MAX = 100_000
"""Starts that a rate may count in its period."""


class Rate(Struct, frozen=True, array_like=True):
    """At most `starts` Runs begin within any `per_s` seconds."""

    starts: int
    per_s: float

    @property
    def text(self) -> str:
        """What people read of it."""
        return f"{self.starts:,} in {self.per_s:g} s"


class QueueLimits(Struct, frozen=True, array_like=True):
    """What a queue is limited to, counted over all engines of its Journal; None is no limit.

    Attributes:
        concurrency: Runs that are under way: they have left the queue, and have not ended.
        per_key: the same for the Runs of one key.
        length_max: Runs that wait; a start over it is refused.
    """

    concurrency: int | None = None
    per_key: int | None = None
    rate: Rate | None = None
    length_max: int | None = None


class QueueEntry(Struct, frozen=True, array_like=True):
    """Where a start places its Run.

    Attributes:
        queue: its name.
        key: whose Run it is; keys take turns.
        priority: see `PRIORITIES`.
        starts_at: not before this, in seconds since the epoch; 0 for at once.
        deduplicate: as long as a Run with this word has not ended, the queue takes no other one; empty for none.
    """

    queue: str
    key: str = ""
    priority: int = USUAL_PRIORITY
    starts_at: float = 0.0
    deduplicate: str = ""


class QueueOptions(Struct, frozen=True):
    """What a start asks of its queue.

    Attributes:
        delay_s: its Run begins this long after it was put there, at the earliest; in seconds.
        limits: of the queue, where the program declares it; None where it only names one.
    """

    entry: QueueEntry
    delay_s: float = 0.0
    limits: QueueLimits | None = None


class KeptQueue(Struct, frozen=True, array_like=True):
    """A queue as the Journal keeps it. Times are seconds since the epoch.

    Attributes:
        revision: drawn anew with each change, which is made only to the revision that it was decided on.
        declared: what a program said last; a limit that an operator has set stands until a program says another.
        is_paused: nothing leaves it until it is resumed.
        turns: of each priority, the key that was served last.
        began: how many Runs left it when, as far back as its rate must know.
    """

    name: str
    revision: str
    limits: QueueLimits = QueueLimits()
    declared: QueueLimits | None = None
    is_paused: bool = False
    turns: tuple[tuple[int, str], ...] = ()
    began: tuple[tuple[float, int], ...] = ()


class QueueLane(Struct, frozen=True):
    """Runs of one priority and key that wait, oldest first; `has_more` where not all of them were read."""

    priority: int
    key: str
    runs: tuple[RunUid, ...]
    has_more: bool = False


class QueueLanes(Struct, frozen=True):
    """Who waits: by priority, and within one in the order in which keys have their turns.

    Attributes:
        is_complete: whether these are all lanes of the last priority that is among them.
    """

    lanes: tuple[QueueLane, ...] = ()
    is_complete: bool = True


class QueueNow(Struct, frozen=True):
    """A queue, and how many of its Runs are under way, by key.

    The queue is read before they are counted: whoever lets a Run leave it changes its revision.
    """

    queue: KeptQueue
    under_way: Mapping[str, int]


class QueueSeen(Struct, frozen=True):
    """What a look at the Journal shows of a queue that is not paused.

    Attributes:
        waits: whether a Run waits that may begin as soon as there is a place.
        next_at: when the next one that was delayed is due, in seconds since the epoch.
    """

    name: str
    waits: bool
    next_at: float | None


class QueueCounts(Struct, frozen=True):
    """A queue, and how many Runs wait in it, are delayed, and are under way."""

    queue: KeptQueue
    waiting: int
    delayed: int
    under_way: int


class NotQueued(Struct, frozen=True):
    """Why a Run was not put into its queue.

    Attributes:
        why: there is no such queue (`missing`); it has as many as it may (`full`); the id belongs to another Run
            (`taken`); a Run with the same word to deduplicate by has not ended (`duplicate`).
        length: Runs that wait, where it is full.
        run: the Run that is there already, where this is a duplicate.
    """

    why: Literal["missing", "full", "taken", "duplicate"]
    length: int = 0
    run: RunUid = RunUid("")
