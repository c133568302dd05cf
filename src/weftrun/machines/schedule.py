"""What a schedule starts, and when: each decision is one change of its row in the Journal, which one engine makes.

A decision names the times whose Runs are to be started before any of them is; who dies in between leaves that on
record. The Runs' ids are made of schedule and time, so starting them twice starts them once.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from weftrun.model.errors import RunConflict
from weftrun.model.schedules import PENDING_MAX, SET_BACK_S, Calendar, KeptSchedule, starts_at

_LATE_S = 60.0
"""What is late by no more than this was not missed: an engine was busy, or began again."""


_MICROSECONDS = 1_000_000
"""In a second."""


def decide(schedule: KeptSchedule, now: float, calendar: Calendar) -> KeptSchedule:
    """Return a schedule with the decision on all times that have come; the same one where there is none to make.

    Args:
        now: by the host's clock, in seconds since the epoch.
    """
    if schedule.is_paused:
        return schedule
    if schedule.decided_at > now + SET_BACK_S:
        # It was set back. What is due again has Runs already where they were started; the others get theirs now.
        return replace(schedule, decided_at=now, next_at=calendar.after(schedule.when, now))
    if schedule.next_at is None or starts_at(schedule, schedule.next_at) > now:
        return schedule
    found, later = _come(schedule, schedule.next_at, now, calendar)
    return replace(
        schedule,
        decided_at=now,
        next_at=later if later is not None else calendar.after(schedule.when, now),
        pending=(*schedule.pending, *found)[-PENDING_MAX:],
        pending_since=now if found else schedule.pending_since,
    )


def _come(schedule: KeptSchedule, first: float, now: float, calendar: Calendar) -> tuple[list[float], float | None]:
    """Return the times from `first` to `now` that are to be started, and the first whose jitter is not over yet.

    They are looked for backwards, so that years without an engine cost no more than what is started.
    """
    when, later = schedule.when, None
    found: list[float] = []
    missed = 0
    due = calendar.before(when, now)
    while due is not None and due >= first:
        begins = starts_at(schedule, due)
        if begins > now and not found:
            later = due
        elif now - begins <= _LATE_S:
            found.append(due)
        elif when.catch_up == "all" and missed < when.catch_up_max:
            missed += 1
            found.append(due)
        else:
            if when.catch_up == "latest" and not found:
                found.append(due)
            break
        due = calendar.before(when, due - 1.0)
    return found[::-1], later


def paused(schedule: KeptSchedule) -> KeptSchedule:
    """Return a schedule that decides nothing more until it is resumed; what it decided is started."""
    return replace(schedule, is_paused=True)


def resumed(schedule: KeptSchedule, now: float, calendar: Calendar) -> KeptSchedule:
    """Return a schedule that goes on from now: what came while it was paused is not made up for."""
    next_at = calendar.after(schedule.when, now) if schedule.is_paused else schedule.next_at
    return replace(schedule, is_paused=False, next_at=next_at)


def triggered(schedule: KeptSchedule, now: float) -> tuple[KeptSchedule, float]:
    """Return a schedule of which a Run is to be started now, beside its times, and the time that this Run is for.

    It is this microsecond, or the next one that no other Run of the schedule is for: timetables have whole seconds.
    """
    taken = {round(due * _MICROSECONDS) for due in schedule.pending}
    at, last = round(now * _MICROSECONDS), round((schedule.last_at or 0.0) * _MICROSECONDS)
    if at <= last < at + _MICROSECONDS:  # of a clock that stands still; one that was set back is not followed
        at = last + 1
    while at % _MICROSECONDS == 0 or at in taken:
        at += 1
    due = at / _MICROSECONDS
    return replace(schedule, pending=(*schedule.pending, due)[-PENDING_MAX:], pending_since=0.0), due


def redefined(before: KeptSchedule, wanted: KeptSchedule) -> KeptSchedule:
    """Return what becomes of a schedule that is created again: the same one where nothing of it is another.

    One that is paused stays so, and what was decided is started as it was.
    """
    kept = replace(
        wanted,
        revision=before.revision,
        made_at=before.made_at,
        decided_at=before.decided_at,
        next_at=before.next_at,
        is_paused=before.is_paused,
        pending=before.pending,
        pending_since=before.pending_since,
        last_at=before.last_at,
        fault=before.fault,
    )
    if kept == before:
        return before
    return replace(kept, made_at=wanted.made_at, decided_at=wanted.decided_at, next_at=wanted.next_at)


def started(schedule: KeptSchedule, tried: Mapping[float, BaseException | None], now: float) -> KeptSchedule:
    """Return a schedule after a try to start the Runs of these times, with the error of each that was not started.

    An id that belongs to another Run belongs to it for ever; whatever else went wrong may go right later.
    """
    done = {due for due, error in tried.items() if error is None or isinstance(error, RunConflict)}
    fault = next((str(error) for error in reversed([*tried.values()]) if error is not None), "")
    left = tuple(due for due in schedule.pending if due not in done)
    last = max((due for due in (schedule.last_at, *done) if due is not None), default=None)
    return replace(schedule, pending=left, pending_since=now, last_at=last, fault=fault)
