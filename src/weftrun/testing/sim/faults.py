"""Faults: what goes wrong at which call of which port. The layers that ask stand in `layers`.

Every counted call is a *point*, numbered through the whole history, crashes and reopenings included. A plan says
which points go wrong and how; an empty plan only counts, which is how a sweep learns what there is to break.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping

from weftrun.model.errors import CommitUnknown, JournalFull


class Fault(enum.StrEnum):
    """What goes wrong at a point."""

    UNKNOWN_BEFORE = "fails before it is done, and nobody knows"
    UNKNOWN_AFTER = "is done, but the reply is lost"
    FULL = "finds no room on the disk for a while"
    CRASH_BEFORE = "kills the process before it is done"
    CRASH_AFTER = "kills the process after it is done"
    DIE = "is the end of the Sandbox"


class Crash(BaseException):
    """The simulated process dies here: nothing of it may run on, so it is no `Exception`."""


_WRITES = (Fault.UNKNOWN_BEFORE, Fault.UNKNOWN_AFTER, Fault.FULL, Fault.CRASH_BEFORE, Fault.CRASH_AFTER)

KINDS: Mapping[str, tuple[Fault, ...]] = {
    "journal.append": _WRITES,
    "journal.begin": _WRITES,
    "journal.bury": _WRITES,
    "journal.claim": _WRITES,
    "journal.load": (Fault.CRASH_BEFORE,),
    "blobs.put": (Fault.FULL, Fault.CRASH_BEFORE, Fault.CRASH_AFTER),
    "trace.write": (Fault.CRASH_BEFORE,),
    "sandboxes.create": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER),
    "sandboxes.send": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER),
    "sandboxes.kill": (Fault.CRASH_BEFORE, Fault.CRASH_AFTER),
    "guest.start": (Fault.DIE,),
    "guest.enter": (Fault.DIE, Fault.CRASH_BEFORE),
    "guest.leave": (Fault.DIE,),
    "guest.tell": (Fault.DIE,),
}  # fmt: skip
"""Which faults can happen at which call."""


class Faults:
    """Counts points and breaks the planned ones.

    Attributes:
        points: name of every point so far, in order; the number of a point is its position.
        happened: which planned faults came to pass, as (point, name, fault).
        off: nothing goes wrong any more (the liveness phase of a swarm).
    """

    def __init__(self, plan: Mapping[int, Fault] | None = None, *, full_calls: int = 3) -> None:
        """Break the points of `plan`; a full disk stays so for `full_calls` calls that write."""
        self.points: list[str] = []
        self.happened: list[tuple[int, str, Fault]] = []
        self.off = False
        self._plan = dict(plan or {})
        self._full_calls = full_calls
        self._full_left = 0

    def at(self, name: str) -> Fault | None:
        """Count a point and return what goes wrong there."""
        number = len(self.points)
        self.points.append(name)
        fault = None if self.off else self._plan.get(number)
        if fault is None or fault not in KINDS[name]:
            return None
        self.happened.append((number, name, fault))
        return fault

    def around(self, name: str, call: Callable[[], None]) -> None:
        """Make a call of a port with what is planned for it."""
        fault = self.at(name)
        self._fail_before(name, fault)
        call()
        if fault is Fault.UNKNOWN_AFTER:
            raise CommitUnknown(f"{name}: the reply was lost (planned)")
        if fault is Fault.CRASH_AFTER:
            raise Crash(name)

    def _fail_before(self, name: str, fault: Fault | None) -> None:
        if fault is Fault.CRASH_BEFORE:
            raise Crash(name)
        if fault is Fault.UNKNOWN_BEFORE:
            raise CommitUnknown(f"{name}: nothing was done, and the caller can't know (planned)")
        if fault is Fault.FULL:
            self._full_left = self._full_calls
        if self._full_left and not self.off and Fault.FULL in KINDS[name]:
            self._full_left -= 1
            raise JournalFull(f"{name}: no room on the disk (planned)")
