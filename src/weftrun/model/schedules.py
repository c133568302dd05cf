"""Schedules: when Runs are started by themselves, and what is on record of that."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from typing import Literal, Protocol

from msgspec import Struct

from weftrun.model.ids import RunId
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.values import Payload

CatchUp = Literal["skip", "latest", "all"]
"""What becomes of times that came while no engine was open: none of them, the last one, or all (of many, the last)."""

TRY_AGAIN_S = 5.0
"""A Run that was to be started and is not known to have been is started by any engine after this, in seconds."""
SET_BACK_S = 3600.0
"""A clock that is behind the last decision on a schedule by more than this was set back, in seconds."""
PENDING_MAX = 1_000
"""Runs of one schedule that wait to be started, at most; of more the oldest are left out."""

_TIME = "%Y-%m-%dT%H:%M:%SZ"
_TIME_BESIDE = "%Y-%m-%dT%H:%M:%S.%fZ"
_RUN = re.compile(r".+@(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z)")


class Timetable(Struct, frozen=True, array_like=True):
    """When a schedule is due.

    Attributes:
        cron: five fields, or six with seconds first; empty where `every_s` says it.
        every_s: interval in whole seconds, counted from the beginning of 1970 in UTC; 0 where `cron` says it.
        timezone: of `cron`, by its name in the IANA database.
        catch_up: see `CatchUp`.
        catch_up_max: with `all`, at most so many of what was missed, the last ones.
        jitter_s: each start is put off by a share of this, in seconds, which is always the same for the same time.
    """

    cron: str = ""
    every_s: int = 0
    timezone: str = "UTC"
    catch_up: CatchUp = "latest"
    catch_up_max: int = 100
    jitter_s: float = 0.0

    @property
    def text(self) -> str:
        """What people read of it."""
        if not self.cron:
            return f"every {self.every_s:,} s"
        return self.cron if self.timezone == "UTC" else f"{self.cron} ({self.timezone})"


class Calendar(Protocol):
    """Reckons when a timetable is due. It reads no clock."""

    def after(self, when: Timetable, at: float) -> float | None:
        """Return the first time later than `at`, in seconds since the epoch; None where there is none."""

    def before(self, when: Timetable, at: float) -> float | None:
        """Return the last time not later than `at`; None where there is none."""


class KeptSchedule(Struct, frozen=True, array_like=True):
    """A schedule as the Journal keeps it. Times are seconds since the epoch, by the hosts' clocks.

    Attributes:
        id: its name; the ids of its Runs begin with it.
        revision: drawn anew with each change, which is made only to the revision that it was decided on.
        digest: of the arguments, as a start has it.
        made_at: when it was created or last given another definition.
        decided_at: when it was last decided what is started.
        next_at: the next time of the timetable on which nothing is decided yet; None where there is none.
        pending: times whose Runs are to be started, oldest first, and are not known to have been.
        pending_since: when that was decided.
        last_at: the last time whose Run was started.
        fault: why the last Run could not be started; empty where it was.
    """

    id: str
    revision: str
    when: Timetable
    function: FunctionSpec
    bundle: Bundle
    args: Payload
    digest: str
    made_at: float
    decided_at: float
    next_at: float | None
    is_paused: bool = False
    pending: tuple[float, ...] = ()
    pending_since: float = 0.0
    last_at: float | None = None
    fault: str = ""

    @property
    def wakes_at(self) -> float | None:
        """When somebody must look at it; None for never."""
        times = [self.pending_since + TRY_AGAIN_S] if self.pending else []
        if self.next_at is not None and not self.is_paused:
            times.append(starts_at(self, self.next_at))
        return min(times, default=None)


def starts_at(schedule: KeptSchedule, due: float) -> float:
    """Return when the Run of a time is started: then, or later by its jitter."""
    jitter_s = schedule.when.jitter_s
    if not jitter_s:
        return due
    drawn = hashlib.sha256(f"{schedule.id}@{due:.0f}".encode()).digest()
    return due + jitter_s * int.from_bytes(drawn[:4], "big") / 2**32


def run_of(schedule: str, due: float) -> RunId:
    """Return the id of the Run that a schedule starts for a time: so it is one, whoever starts it.

    Timetables are due at whole seconds; a time between them is that of a Run beside them.
    """
    form = _TIME_BESIDE if due % 1.0 else _TIME
    return RunId(f"{schedule}@{datetime.fromtimestamp(due, UTC).strftime(form)}")


def schedule_of(run: str) -> str:
    """Return the id of the schedule that has started a Run, as the Run's id tells it; empty where it tells of none."""
    return run.rpartition("@")[0] if due_of(run) is not None else ""


def due_of(run: str) -> datetime | None:
    """Return the time for which a schedule has started a Run, in UTC; None where its id tells of none."""
    found = _RUN.fullmatch(run)
    try:
        if found is None:
            return None
        return datetime.strptime(found[1], _TIME_BESIDE if found[2] else _TIME).replace(tzinfo=UTC)
    except ValueError:  # such as a 31st of February: somebody else's id
        return None
