"""Schedules, as authors write and hold them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol

from weftrun.model.errors import LimitExceeded, UsageError
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.schedules import CatchUp, Timetable
from weftrun.model.schedules import KeptSchedule as Kept
from weftrun.model.values import Inline, Payload
from weftrun.sdk.bundle import bundle_of
from weftrun.sdk.function import Function
from weftrun.sdk.inspection import preview
from weftrun.sdk.registry import check_in_force

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
Change = Literal["pause", "resume", "delete"]


class ScheduleCore(Protocol):
    """What an engine must do for these handles."""

    def put_schedule(self, wanted: Kept) -> Kept:
        """Create a schedule, or give the one that has its id another definition."""

    def schedule(self, id: str) -> Kept:
        """Return the schedule with this id."""

    def change_schedule(self, id: str, change: Change) -> None:
        """Pause, resume or delete a schedule."""

    def trigger_schedule(self, id: str) -> str:
        """Let a schedule start a Run beside its times, and return the id of that Run."""

    def schedule_times(self, id: str, count: int) -> list[float]:
        """Return the next times of a schedule, in seconds since the epoch."""


def cron(
    line: str, *, timezone: str = "UTC", catch_up: CatchUp = "latest", catch_up_max: int = 100, jitter_s: float = 0.0
) -> Timetable:
    """Return when a schedule is due: `engine.schedule("nightly", weftrun.cron("0 3 * * *"), report)`.

    Args:
        line: minute, hour, day of the month, month, day of the week; six fields begin with the second. Also `@hourly`,
            `@daily`, `@weekly`, `@monthly`, `@yearly`. As in Debian's cron: `*`, lists, ranges, steps, names.
        timezone: by its name in the IANA database, e.g. `Europe/Berlin`. A time that does not exist on a day is due
            when the clocks have been set forward; one that comes twice is due once.
        catch_up: what is started of the times that came while no engine was open: nothing (`skip`), the last one
            (`latest`), or each of them, up to the last `catch_up_max` (`all`). What is late by a minute or less is not
            missed.
        jitter_s: each start is put off by a share of so many seconds, which is always the same for the same time.
    """
    return Timetable(line, 0, timezone, catch_up, catch_up_max, jitter_s)


def every(
    interval: float | timedelta, *, catch_up: CatchUp = "latest", catch_up_max: int = 100, jitter_s: float = 0.0
) -> Timetable:
    """Return when a schedule is due: `engine.schedule("poll", weftrun.every(300), poll)`.

    Args:
        interval: whole seconds, or a `timedelta` of them. Times are counted from the beginning of 1970, UTC: every 900
            seconds is due at :00, :15, :30 and :45.
        catch_up, catch_up_max, jitter_s: see `cron`.

    Raises:
        UsageError: the interval is no number of whole seconds.
    """
    seconds = interval.total_seconds() if isinstance(interval, timedelta) else interval
    if type(seconds) not in (int, float) or not 1 <= seconds <= 2**40 or seconds != int(seconds):
        raise UsageError(f"weftrun.every({preview(interval, 80)}) is no interval: give whole seconds, 1 or more.")
    return Timetable("", int(seconds), "UTC", catch_up, catch_up_max, jitter_s)


def check_schedule_id(id: object) -> str:
    """Return the id of a schedule; `UsageError` where it is none."""
    if not isinstance(id, str) or _ID.fullmatch(id) is None:
        raise UsageError(
            f"{preview(id, 120)} can't be the id of a schedule: give letters, digits, `_`, `.` and `-`, 100 of them at "
            "most."
        )
    return id


def wanted(id: object, when: object, fn: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Kept:
    """Return the schedule that an author asks for, as it can be kept.

    Raises:
        UsageError: the id, the timetable or the Function can't be.
        TypeError: the arguments don't fit the signature.
        LimitExceeded: the arguments are too large to be kept with a schedule.
    """
    check_schedule_id(id)
    if not isinstance(when, Timetable):
        raise UsageError(f"{preview(when, 80)} says no times: give weftrun.cron('0 3 * * *') or weftrun.every(300).")
    if not isinstance(fn, Function):
        raise UsageError(f"{fn!r} is not a Function: decorate it with @weftrun.function or @weftrun.workflow.")
    if fn.run_id is not None or not fn.durable or fn.after or fn.asked is not None:
        raise UsageError(
            f"{fn.spec.label} is scheduled with options that it can't have there: the ids of the Runs are made of the "
            "schedule's and the time, they keep records, begin when they are due, and wait for no Ref."
        )
    check_in_force(fn)
    fn.signature.check(args, kwargs)
    bundle = bundle_of(fn)  # first of all: it lets pickle find the author's classes
    encoded = fn.signature.encode(args, kwargs, refs=False)
    if encoded.nbytes > DEFAULT_LIMITS.inline_bytes_max:
        raise LimitExceeded(
            f"The arguments of the schedule {id!r} have {encoded.nbytes:,} bytes, more than may be kept with one "
            f"({DEFAULT_LIMITS.inline_bytes_max:,}). Say where they are to be found."
        )
    digest, *_ = fn.signature.digests(args, kwargs, all_ways=False) or ("",)
    return Kept(str(id), "", when, fn.spec, bundle, Payload(Inline(encoded.tobytes())), digest, 0.0, 0.0, None)


class Schedule:
    """A schedule. Made by `engine.schedule`.

    Attributes:
        id: its name. Its Runs are `ID@2026-11-30T03:00:00Z`: the id, and the time that they are for.
    """

    __slots__ = ("_core", "id")

    def __init__(self, core: ScheduleCore, id: str) -> None:
        """Stand for a schedule. Authors write `engine.schedule(...)` instead."""
        self._core = core
        self.id = id

    @property
    def is_paused(self) -> bool:
        """Whether it starts nothing until it is resumed."""
        return self._core.schedule(self.id).is_paused

    @property
    def last(self) -> datetime | None:
        """The last time for which a Run was started, in UTC."""
        at = self._core.schedule(self.id).last_at
        return None if at is None else datetime.fromtimestamp(at, UTC)

    @property
    def fault(self) -> str:
        """Why the last Run could not be started; empty where it was."""
        return self._core.schedule(self.id).fault

    def next(self, count: int = 1) -> list[datetime]:
        """Return its next times in UTC, without their jitter; none where it is paused."""
        return [datetime.fromtimestamp(at, UTC) for at in self._core.schedule_times(self.id, count)]

    def pause(self) -> None:
        """Let it start nothing until it is resumed."""
        self._core.change_schedule(self.id, "pause")

    def resume(self) -> None:
        """Let it go on; times that came meanwhile are not made up for."""
        self._core.change_schedule(self.id, "resume")

    def trigger(self) -> str:
        """Let it start a Run of its own now, beside its times, and return the id of that Run.

        Some engine starts it within a few seconds; the id is `ID@2026-11-30T03:00:00.123456Z`.
        """
        return self._core.trigger_schedule(self.id)

    def delete(self) -> None:
        """Delete it; Runs that it has started go on."""
        self._core.change_schedule(self.id, "delete")

    def __repr__(self) -> str:
        return f"<Schedule {self.id}>"
