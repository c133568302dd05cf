"""When a timetable is due, with cron lines as Debian's cron reads them (`cronsim`), in any time zone.

A line that names its hours is read by the clock on the wall: a time that does not exist is due when the clock has been
set forward, and one that comes twice is due once. A line with a star for minutes or hours goes by the time that passes.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from weftrun.model.errors import UsageError
from weftrun.model.schedules import Timetable

_FIELDS = ("minute", "hour", "day-of-month", "month", "day-of-week")
_TAKES = {
    "second": "0 to 59",
    "minute": "0 to 59",
    "hour": "0 to 23",
    "day-of-month": "1 to 31, L or LW",
    "month": "1 to 12 or JAN to DEC",
    "day-of-week": "0 to 7 or SUN to SAT, with #1 to #5 or L behind it",
}
_NAMED = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_SHIFT_S = 3 * 3600
"""No clock on a wall is set by more than this at once, but for whole days."""
_LONGEST_S = 100 * 365 * 86_400
_CATCH_UPS = ("skip", "latest", "all")
_JITTER_MAX_S = 86_400.0
_CATCH_UP_MAX = 1_000


class CronCalendar:
    """The port Calendar (`model.schedules`)."""

    def after(self, when: Timetable, at: float) -> float | None:
        """Return the first time later than `at`, in seconds since the epoch; None where there is none."""
        if not when.cron:
            return float((math.floor(at / when.every_s) + 1) * when.every_s)
        for due in _lines(when.cron, _at(math.floor(at), when.timezone)):
            if due > at:
                return due
        return None

    def before(self, when: Timetable, at: float) -> float | None:
        """Return the last time not later than `at`; None where there is none."""
        if not when.cron:
            return float(math.floor(at / when.every_s) * when.every_s)
        # Where the clock on the wall was set back it has shown later times than it shows now.
        begin = math.floor(at) + 1 + (_SHIFT_S if when.timezone != "UTC" and _goes_by_the_wall(when.cron) else 0)
        for due in _lines(when.cron, _at(begin, when.timezone), reverse=True):
            if due <= at:
                return due
        return None


def _lines(cron: str, begin: datetime, *, reverse: bool = False) -> _Times:
    return _Times(CronSim(_NAMED.get(cron, cron), begin, reverse=reverse))


class _Times:
    """The times of a line, in seconds since the epoch."""

    def __init__(self, times: CronSim) -> None:
        self._times = times

    def __iter__(self) -> _Times:
        return self

    def __next__(self) -> float:
        try:
            return next(self._times).timestamp()
        except (OverflowError, ValueError):  # the end of the calendar
            raise StopIteration from None


def _goes_by_the_wall(cron: str) -> bool:
    fields = _NAMED.get(cron, cron).split()
    return len(fields) == 5 and not fields[0].startswith("*") and not fields[1].startswith("*")


def _at(seconds: int, timezone: str) -> datetime:
    return datetime.fromtimestamp(seconds, _zone(timezone))


@lru_cache(maxsize=64)
def _zone(name: str) -> tzinfo:
    return UTC if name == "UTC" else ZoneInfo(name)


def check(when: Timetable, now: float) -> Timetable:
    """Return a timetable that means something.

    Raises:
        UsageError: it does not; in words that say which part, and what it takes.
    """
    if not isinstance(when.cron, str):
        raise UsageError(f"{when.cron!r} is no cron line: give text, such as '0 3 * * mon-fri'.")
    if bool(when.cron) == bool(when.every_s):
        raise UsageError("A schedule is due by a cron line, or every so many seconds: give one of the two.")
    _check_zone(when.timezone)
    if when.cron:
        _check_line(when.cron)
        if CronCalendar().after(when, now) is None:
            raise UsageError(f"The cron line {when.cron!r} names a time that never comes.")
    elif not 1 <= when.every_s <= _LONGEST_S:
        raise UsageError(f"A schedule can't be due every {when.every_s} s: give whole seconds from 1 up to 100 years.")
    if when.catch_up not in _CATCH_UPS:
        raise UsageError(f"catch_up={when.catch_up!r} is not known: it takes {', '.join(map(repr, _CATCH_UPS))}.")
    if type(when.catch_up_max) is not int or not 1 <= when.catch_up_max <= _CATCH_UP_MAX:
        raise UsageError(f"catch_up_max={when.catch_up_max!r} can't be: it takes 1 to {_CATCH_UP_MAX:,}.")
    if type(when.jitter_s) not in (int, float) or not 0 <= when.jitter_s <= _JITTER_MAX_S:
        raise UsageError(f"jitter_s={when.jitter_s!r} can't be: it takes seconds from 0 up to a day.")
    return when


def _check_zone(name: str) -> None:
    try:
        _zone(name)
    except (OSError, ValueError, TypeError):  # ZoneInfoNotFoundError is a KeyError, below
        pass
    except KeyError:
        pass
    else:
        return
    known = available_timezones()
    if not known:
        raise UsageError(f"The time zone {name!r} is not known, as none is on this host: pip install tzdata.")
    near = difflib.get_close_matches(str(name), known, 3)
    there_are = f"Did you mean {' or '.join(near)}?" if near else "Give a name such as Europe/Berlin, or UTC."
    raise UsageError(f"There is no time zone {name!r}. {there_are}")


def _check_line(cron: str) -> None:
    if cron.startswith("@"):
        if cron not in _NAMED:
            raise UsageError(f"{cron!r} is no cron line: of those with an @ there are {', '.join(_NAMED)}.")
        return
    fields = cron.split()
    if len(fields) not in (5, 6):
        raise UsageError(
            f"{cron!r} is no cron line: it has {len(fields)} fields, and takes five, {', '.join(_FIELDS)}, or six with "
            "the seconds first."
        )
    try:
        CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        if wrong == "day-of-month" and _is_a_line([*fields[:-2], "*", fields[-1]]):
            raise UsageError(f"The cron line {cron!r} names a day that no month of it has: it never comes.") from None
        names = ("second", *_FIELDS)[-len(fields) :]
        said = f" {fields[names.index(wrong)]!r}" if wrong in names else ""
        raise UsageError(
            f"{cron!r} is no cron line: its {wrong}{said} can't be. It takes {_TAKES.get(wrong, 'five fields')}; "
            "lists (1,2), ranges (1-5) and steps (*/5) of them; or *."
        ) from None


def _is_a_line(fields: Sequence[str]) -> bool:
    try:
        CronSim(" ".join(fields), datetime(2026, 1, 1, tzinfo=UTC))
    except CronSimError:
        return False
    return True
