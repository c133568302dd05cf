"""Faults: what goes wrong at which call of which port. The layers that ask stand in `layers`.

Every counted call is a *point*, numbered through the whole history, crashes and reopenings included. A plan says
which points go wrong and how; an empty plan only counts, which is how a sweep learns what there is to break.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from weftrun.model.errors import CommitUnknown, JournalBusy, JournalFull

T = TypeVar("T")


class Fault(enum.StrEnum):
    """What goes wrong at a point."""

    UNKNOWN_BEFORE = "fails before it is done, and nobody knows"
    UNKNOWN_AFTER = "is done, but the reply is lost"
    FULL = "finds no room on the disk for a while"
    CRASH_BEFORE = "kills the process before it is done"
    CRASH_AFTER = "kills the process after it is done"
    DIE = "is the end of the Sandbox"
    PAUSE_BEFORE = "is reached, and then the process stands still for a while"
    PAUSE_INSIDE = "is half done when the process stands still, and keeps the Journal's write lock"
    PAUSE_AFTER = "is done, and then the process stands still for a while"


class Crash(BaseException):
    """The simulated process dies here: nothing of it may run on, so it is no `Exception`."""


PAUSES = (Fault.PAUSE_BEFORE, Fault.PAUSE_INSIDE, Fault.PAUSE_AFTER)
"""What is worth trying only where another engine goes on meanwhile."""

_WRITES = (
    Fault.UNKNOWN_BEFORE, Fault.UNKNOWN_AFTER, Fault.FULL, Fault.CRASH_BEFORE, Fault.CRASH_AFTER, *PAUSES,
)  # fmt: skip

KINDS: Mapping[str, tuple[Fault, ...]] = {
    "journal.append": _WRITES,
    "journal.begin": _WRITES,
    "journal.declare_dead": _WRITES,
    "journal.claim": _WRITES,
    "journal.find": (Fault.PAUSE_AFTER,),
    "journal.suspend": _WRITES,
    "journal.post": _WRITES,
    "journal.load": (Fault.CRASH_BEFORE, Fault.PAUSE_BEFORE),
    "journal.retry": _WRITES,
    "journal.enqueue": _WRITES,
    "journal.begin_queued": _WRITES,
    "journal.queue": _WRITES,
    "journal.queue_now": (Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER),
    "journal.schedule": _WRITES,
    "journal.look": (Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER),
    "outbox.take": _WRITES,
    "outbox.settle": _WRITES,
    "sink.send": (
        Fault.UNKNOWN_BEFORE, Fault.UNKNOWN_AFTER, Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE,
        Fault.PAUSE_AFTER,
    ),
    "transaction.open": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER),
    "transaction.commit": _WRITES,
    "transaction.say": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_AFTER),
    "blobs.put": (Fault.FULL, Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_AFTER),
    "trace.write": (Fault.CRASH_BEFORE,),
    "sandboxes.create": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE),
    "sandboxes.hold": (Fault.PAUSE_BEFORE,),
    "sandboxes.send": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE, Fault.PAUSE_AFTER),
    "sandboxes.let": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE),
    "sandboxes.kill": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.PAUSE_BEFORE),
    "guest.start": (Fault.DIE,),
    "guest.enter": (Fault.DIE, Fault.CRASH_BEFORE),
    "guest.say": (Fault.DIE,),
    "guest.leave": (Fault.DIE,),
    "guest.tell": (Fault.DIE,),
}  # fmt: skip
"""Which faults can happen at which call."""

OF_OPERATORS = frozenset(
    {"journal.enqueue", "journal.begin_queued", "journal.queue", "journal.queue_now", "journal.schedule"}
)
"""Calls that are made only where there are queues and schedules."""


_LOCKING = frozenset(name for name, faults in KINDS.items() if Fault.PAUSE_INSIDE in faults) | {"transaction.open"}


class FaultTarget(Protocol):
    """A process that can be made to stand still."""

    def stand_still(self, seconds: float) -> None:
        """Stop in the middle of a turn, while everybody else goes on."""


class Faults:
    """Counts points and breaks the planned ones.

    Attributes:
        points: name of every point so far, in order; the number of a point is its position.
        happened: which planned faults came to pass, as (point, name, fault).
        off: nothing goes wrong any more, and points are not counted.
        locked_by: the process that keeps the Journal's write lock beyond one call, if any does.
    """

    def __init__(self, plan: Mapping[int, Fault] | None = None, *, full_calls: int = 3, pause_s: float = 25.0) -> None:
        """Break the points of `plan`.

        Args:
            full_calls: a full disk stays so for so many calls that write.
            pause_s: how long a process stands still, in seconds of virtual time.
        """
        self.points: list[str] = []
        self.happened: list[tuple[int, str, Fault]] = []
        self.off = False
        self._plan = dict(plan or {})
        self._full_calls = full_calls
        self._full_left = 0
        self._pause_s = pause_s
        self.locked_by: FaultTarget | None = None

    def at(self, name: str) -> Fault | None:
        """Count a point and return what goes wrong there."""
        if self.off:
            return None
        number = len(self.points)
        self.points.append(name)
        fault = self._plan.get(number)
        if fault is None or fault not in KINDS[name]:
            return None
        self.happened.append((number, name, fault))
        return fault

    def pause_s(self) -> float:
        """Return how long the process stands still that was chosen to, in seconds."""
        return self._pause_s

    def around(self, name: str, call: Callable[[], T], process: FaultTarget) -> T:
        """Make a call of a port with what is planned for it, and return what it returns."""
        fault = self.at(name)
        self._fail_before(name, fault, process)
        result = call()
        if fault is Fault.UNKNOWN_AFTER:
            raise CommitUnknown(f"{name}: the reply was lost (planned)")
        if fault is Fault.CRASH_AFTER:
            raise Crash(name)
        if fault is Fault.PAUSE_AFTER:
            process.stand_still(self.pause_s())
        return result

    def check_lock(self, name: str, process: FaultTarget) -> None:
        """Refuse a call that writes while another process keeps the write lock: in its place it would wait in vain."""
        if self.locked_by is not None and self.locked_by is not process:
            raise JournalBusy(f"{name}: another process keeps the write lock (planned)")

    def unlock(self, process: FaultTarget) -> None:
        """Let others write, if it was this process that kept them from it."""
        if self.locked_by is process:
            self.locked_by = None

    def _fail_before(self, name: str, fault: Fault | None, process: FaultTarget) -> None:
        if fault is Fault.CRASH_BEFORE:
            raise Crash(name)
        if fault is Fault.PAUSE_BEFORE:
            process.stand_still(self.pause_s())
        if fault is Fault.UNKNOWN_BEFORE:
            raise CommitUnknown(f"{name}: nothing was done, and the caller can't know (planned)")
        if name in _LOCKING:
            self.check_lock(name, process)
        if fault is Fault.PAUSE_INSIDE:
            before, self.locked_by = self.locked_by, process
            try:
                process.stand_still(self.pause_s())
            finally:
                self.locked_by = before
        if fault is Fault.FULL:
            self._full_left = self._full_calls
        if self._full_left and not self.off and Fault.FULL in KINDS[name]:
            self._full_left -= 1
            raise JournalFull(f"{name}: no room on the disk (planned)")
