"""Schedules of a Journal, for those who have no engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.adapters.cron import CronCalendar, check
from weftrun.adapters.system.clock import wall
from weftrun.assembly.places import changing
from weftrun.model.schedules import KeptSchedule, Timetable
from weftrun.runtime.schedules import ScheduleBook, next_times


@contextmanager
def schedule_book(url: str | None, *, makes: bool = False) -> Iterator[ScheduleBook]:
    """Open the schedules of a Journal for as long as the block lasts; engines look at them again when it ends.

    Args:
        makes: whether a Journal is made where there is none.
    """
    with changing(url, makes=makes) as (journal, entropy):
        yield ScheduleBook(journal, entropy, CronCalendar(), wall)


def check_timetable(when: Timetable) -> Timetable:
    """Return a timetable that means something; `UsageError` where it does not."""
    return check(when, wall())


def times_of(schedule: KeptSchedule, count: int) -> list[float]:
    """Return the next times of a schedule, in seconds since the epoch."""
    return next_times(schedule, CronCalendar(), count)
