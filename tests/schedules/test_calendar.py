"""When timetables are due: cron lines, intervals, and clocks on walls that are set forward and back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weftrun.adapters.cron import CronCalendar, check
from weftrun.model.errors import UsageError
from weftrun.model.schedules import Timetable

CALENDAR = CronCalendar()
NOW = datetime(2026, 1, 1, tzinfo=UTC).timestamp()


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def times(when: Timetable, begin: str, end: str) -> list[str]:
    """All times of a timetable in an interval, on the clock on the wall."""
    zone = ZoneInfo(when.timezone)
    found, due = [], CALENDAR.after(when, at(begin))
    while due is not None and due <= at(end):
        found.append(datetime.fromtimestamp(due, zone).strftime("%m-%d %H:%M:%S%z"))
        due = CALENDAR.after(when, due)
    return found


@pytest.mark.parametrize(
    ("line", "first", "second"),
    [
        ("0 3 * * *", "2026-01-01T03:00Z", "2026-01-02T03:00Z"),
        ("*/15 * * * *", "2026-01-01T00:15Z", "2026-01-01T00:30Z"),
        ("30 8 * * mon-fri", "2026-01-01T08:30Z", "2026-01-02T08:30Z"),
        ("0 0 13 * fri", "2026-01-02T00:00Z", "2026-01-09T00:00Z"),
        ("0 12 L * *", "2026-01-31T12:00Z", "2026-02-28T12:00Z"),
        ("0 0 29 2 *", "2028-02-29T00:00Z", "2032-02-29T00:00Z"),
        ("*/10 * * * * *", "2026-01-01T00:00:10Z", "2026-01-01T00:00:20Z"),
        ("@monthly", "2026-02-01T00:00Z", "2026-03-01T00:00Z"),
    ],
)
def test_cron_lines(line: str, first: str, second: str) -> None:
    when = check(Timetable(line), NOW)
    assert CALENDAR.after(when, NOW) == at(first)
    assert CALENDAR.after(when, at(first)) == at(second)
    assert CALENDAR.before(when, at(first)) == at(first), "not later than"
    assert CALENDAR.before(when, at(second) - 0.5) == at(first)


def test_an_hour_that_does_not_exist_is_due_at_its_end() -> None:
    when = Timetable("30 2 * * *", 0, "Europe/Berlin")
    assert times(when, "2026-03-28T00:00Z", "2026-03-30T12:00Z") == [
        "03-28 02:30:00+0100",
        "03-29 03:00:00+0200",
        "03-30 02:30:00+0200",
    ]


def test_an_hour_that_comes_twice_is_due_once() -> None:
    when = Timetable("30 2 * * *", 0, "Europe/Berlin")
    assert times(when, "2026-10-24T12:00Z", "2026-10-26T12:00Z") == ["10-25 02:30:00+0200", "10-26 02:30:00+0100"]


def test_a_star_goes_by_the_time_that_passes() -> None:
    """A line for every half hour has as many times on a day of 23 or 25 hours as hours pass."""
    when = Timetable("*/30 * * * *", 0, "Europe/Berlin")
    for day, hours in (("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)):
        begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo("Europe/Berlin")) - timedelta(seconds=1)
        end = begin.astimezone(UTC) + timedelta(hours=hours)
        assert len(times(when, begin.isoformat(), end.isoformat())) == 2 * hours, day


def test_intervals_are_counted_from_1970() -> None:
    when = Timetable("", 900)
    assert CALENDAR.after(when, at("2026-01-01T00:07Z")) == at("2026-01-01T00:15Z")
    assert CALENDAR.after(when, at("2026-01-01T00:15Z")) == at("2026-01-01T00:30Z")
    assert CALENDAR.before(when, at("2026-01-01T00:15Z")) == at("2026-01-01T00:15Z")
    assert CALENDAR.before(when, at("2026-01-01T00:14:59Z")) == at("2026-01-01T00:00Z")


LINES = ["30 2 * * *", "0 2,3 * * *", "15 0-4 * * sun", "*/20 * * * *", "5 */3 * * *", "0 0 * * *", "59 1 * * 0,6"]
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca"]
SHIFTS = [
    "2026-03-08",
    "2026-03-29",
    "2026-04-05",
    "2026-10-04",
    "2026-10-25",
    "2026-11-01",
    "2026-02-15",
    "2026-06-01",
]


@given(
    line=st.sampled_from(LINES),
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(SHIFTS),
    seconds=st.integers(-86_400, 2 * 86_400),
)
@example(line="30 2 * * *", zone="Europe/Berlin", day="2026-10-25", seconds=4200)
def test_backwards_and_forwards_are_the_same_times(line: str, zone: str, day: str, seconds: int) -> None:
    """The last time that is not later than a moment is the one behind which no other lies before that moment."""
    when = Timetable(line, 0, zone)
    moment = at(f"{day}T00:00Z") + seconds
    last = CALENDAR.before(when, moment)
    assert last is not None
    assert last <= moment
    following = CALENDAR.after(when, last)
    assert following is not None
    assert following > moment
    assert CALENDAR.after(when, moment) == following
    assert CALENDAR.before(when, following) == following


@pytest.mark.parametrize(
    ("when", "says"),
    [
        (Timetable("61 * * * *"), "minute '61' can't be. It takes 0 to 59"),
        (Timetable("* 25 * * *"), "hour '25' can't be. It takes 0 to 23"),
        (Timetable("0 0 * 13 *"), "month '13'"),
        (Timetable("0 0 * * someday"), "day-of-week 'someday'"),
        (Timetable("0 0 0 * *"), "day-of-month '0'"),
        (Timetable("70 0 0 * * *"), "second '70'"),
        (Timetable("every day"), "it has 2 fields, and takes five"),
        (Timetable("@often"), "of those with an @ there are @yearly"),
        (Timetable("0 0 30 2 *"), "names a day that no month of it has: it never comes"),
        (Timetable("*/0 * * * *"), "minute '\\*/0' can't be"),
        (Timetable("5-1 * * * *"), "minute '5-1' can't be"),
        (Timetable("0 3 * * *", 0, "Europe/Berln"), "no time zone 'Europe/Berln'. Did you mean Europe/Berlin"),
        (Timetable("0 3 * * *", 0, "../etc/passwd"), "no time zone"),
        (Timetable("0 3 * * *", 0, ""), "no time zone"),
        (Timetable("", 0), "give one of the two"),
        (Timetable("0 3 * * *", 60), "give one of the two"),
        (Timetable("", -5), "give whole seconds from 1"),
        (Timetable("", 60, "UTC", "sometimes"), "catch_up='sometimes' is not known"),  # type: ignore[arg-type]
        (Timetable("", 60, "UTC", "all", 0), "catch_up_max=0"),
        (Timetable("", 60, "UTC", "all", 5, -1.0), "jitter_s=-1.0"),
        (Timetable("", 60, "UTC", "all", 5, float("nan")), "jitter_s=nan"),
    ],
)
def test_what_means_nothing_is_told(when: Timetable, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        check(when, NOW)
