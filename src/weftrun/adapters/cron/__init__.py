"""Timetables by cron lines, intervals and time zones."""

from weftrun.adapters.cron.calendar import CronCalendar, check

__all__ = ["CronCalendar", "check"]
