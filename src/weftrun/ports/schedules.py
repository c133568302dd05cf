"""Schedules, a part of the Journal: one row each, which is changed from one revision to the next."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from weftrun.model.schedules import KeptSchedule


class ScheduleReader(Protocol):
    """What can be asked of schedules."""

    def schedules(self) -> list[KeptSchedule]:
        """Return all schedules, by their ids."""

    def schedule(self, id: str) -> KeptSchedule | None:
        """Return the schedule with this id."""

    def schedules_by(self, now: float, *, set_back_s: float) -> Sequence[KeptSchedule]:
        """Return the schedules that must be looked at by now, and the one that must be next.

        Those that were decided on by a clock that was ahead of `now` by more than `set_back_s` are among them.
        """


class Schedules(ScheduleReader, Protocol):
    """How schedules are changed. Errors as of the Journal; each may be said again after `CommitUnknown`."""

    def put_schedule(self, schedule: KeptSchedule, expected: str) -> bool:
        """Put a schedule in the place of its revision `expected`; say whether that was there, or this one is already.

        Args:
            expected: empty where there must be none with this id.
        """

    def delete_schedule(self, id: str) -> bool:
        """Delete a schedule; say whether it was there. Runs that it has started go on."""
