"""What is decided on schedules, by one engine and by several with clocks of their own, and bugs planted into it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from weftrun.machines import schedule as machine
from weftrun.machines.schedule import decide, paused, redefined, resumed, started, triggered
from weftrun.model.errors import JournalError, RunConflict
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.schedules import (
    PENDING_MAX,
    TRY_AGAIN_S,
    CatchUp,
    KeptSchedule,
    Timetable,
    due_of,
    run_of,
    starts_at,
)
from weftrun.model.values import Inline, Payload

HOUR = 3600
BEGIN = 1_700_000_000.0 // HOUR * HOUR


class Hours:
    """A calendar of whole multiples of a timetable's interval."""

    def after(self, when: Timetable, at: float) -> float | None:
        return (at // when.every_s + 1) * when.every_s

    def before(self, when: Timetable, at: float) -> float | None:
        return at // when.every_s * when.every_s


HOURS = Hours()


def made(when: Timetable | None = None, at: float = BEGIN) -> KeptSchedule:
    when = when or Timetable("", HOUR)
    spec, args = FunctionSpec("app:report", "report"), Payload(Inline(b""))
    return KeptSchedule("hourly", "r0", when, spec, Bundle("app"), args, "", at, at, HOURS.after(when, at))


def hours(schedule: KeptSchedule) -> list[float]:
    return [(due - BEGIN) / HOUR for due in schedule.pending]


def test_nothing_is_decided_before_its_time() -> None:
    schedule = made()
    assert decide(schedule, BEGIN + HOUR - 1, HOURS) is schedule
    after = decide(schedule, BEGIN + HOUR, HOURS)
    assert (hours(after), after.next_at, after.decided_at) == ([1], BEGIN + 2 * HOUR, BEGIN + HOUR)
    assert decide(after, BEGIN + HOUR, HOURS) is after, "it is decided once"


@pytest.mark.parametrize(
    ("catch_up", "most", "late_s", "starts"),
    [
        ("skip", 100, 30, [5]),
        ("skip", 100, 90, []),
        ("latest", 100, 30, [5]),
        ("latest", 100, 90, [5]),
        ("all", 100, 90, [1, 2, 3, 4, 5]),
        ("all", 2, 90, [4, 5]),
        ("all", 2, 30, [3, 4, 5]),
    ],
)
def test_what_was_missed(catch_up: CatchUp, most: int, late_s: float, starts: list[float]) -> None:
    """The last one was due so many seconds ago; an engine that was late by a minute has not missed it."""
    after = decide(made(Timetable("", HOUR, "UTC", catch_up, most)), BEGIN + 5 * HOUR + late_s, HOURS)
    assert hours(after) == starts
    assert after.next_at == BEGIN + 6 * HOUR


def test_years_without_an_engine_cost_what_is_started() -> None:
    asked = 0

    class Counting(Hours):
        def before(self, when: Timetable, at: float) -> float | None:
            nonlocal asked
            asked += 1
            return super().before(when, at)

    after = decide(made(Timetable("", 1, "UTC", "all", 50)), BEGIN + 10 * 365 * 86_400, Counting())
    assert len(after.pending) <= 50 + 61
    assert asked <= 120


def test_jitter_puts_off_each_start_by_a_share_that_stays_the_same() -> None:
    when = Timetable("", HOUR, "UTC", "latest", 100, 600.0)
    schedule = made(when)
    due = BEGIN + HOUR
    begins = starts_at(schedule, due)
    assert due <= begins < due + 600
    assert begins == starts_at(made(when, BEGIN + 7), due)
    assert len({starts_at(schedule, due + n * HOUR) - n * HOUR for n in range(50)}) == 50
    assert decide(schedule, begins - 0.01, HOURS) is schedule
    assert schedule.wakes_at == begins
    assert hours(decide(schedule, begins, HOURS)) == [1]


def test_pause_and_resume() -> None:
    still = paused(made())
    assert (still.wakes_at, decide(still, BEGIN + 9 * HOUR, HOURS)) == (None, still)
    on = resumed(still, BEGIN + 9 * HOUR + 1, HOURS)
    assert on.next_at == BEGIN + 10 * HOUR, "what came meanwhile is not made up for"
    assert decide(on, BEGIN + 9 * HOUR + 2, HOURS) is on


def test_what_was_decided_before_a_pause_is_started() -> None:
    still = paused(decide(made(), BEGIN + HOUR, HOURS))
    assert (hours(still), still.wakes_at) == ([1], BEGIN + HOUR + TRY_AGAIN_S)


def test_a_run_beside_the_times() -> None:
    after, due = triggered(made(), BEGIN + 12.7)
    assert (after.pending, due) == ((BEGIN + 12.7,), BEGIN + 12.7)
    assert after.wakes_at is not None
    assert after.wakes_at < BEGIN
    assert after.next_at == BEGIN + HOUR


@pytest.mark.parametrize("now", [BEGIN + HOUR, BEGIN + HOUR + 0.3, BEGIN + HOUR - 1e-7])
def test_a_run_beside_the_times_is_none_of_theirs(now: float) -> None:
    """Nor another one beside them, by a clock that stands still; whether the first is started by then or not."""
    decided = decide(made(), BEGIN + HOUR, HOURS)
    first, one = triggered(decided, now)
    second, two = triggered(first, now)
    left, three = triggered(started(second, dict.fromkeys(second.pending), now), now)
    runs = [run_of("hourly", due) for due in (BEGIN + HOUR, one, two, three)]
    assert len(set(runs)) == 4
    assert (len(second.pending), left.pending) == (3, (three,))
    for run, due in zip(runs, (BEGIN + HOUR, one, two, three), strict=True):
        found = due_of(run)
        assert found is not None
        assert found.timestamp() == due


def test_an_id_of_another_run_is_given_up_and_other_errors_are_tried_again() -> None:
    decided = replace(made(), pending=(BEGIN, BEGIN + HOUR, BEGIN + 2 * HOUR))
    tried = {BEGIN: None, BEGIN + HOUR: RunConflict("another's"), BEGIN + 2 * HOUR: JournalError("the disk")}
    after = started(decided, tried, BEGIN + 3 * HOUR)
    assert (after.pending, after.pending_since) == ((BEGIN + 2 * HOUR,), BEGIN + 3 * HOUR)
    assert (after.last_at, after.fault) == (BEGIN + HOUR, "the disk")


def test_the_same_definition_changes_nothing_and_another_counts_from_now() -> None:
    before = started(decide(made(), BEGIN + HOUR, HOURS), {BEGIN + HOUR: None}, BEGIN + HOUR)
    again = replace(made(at=BEGIN + 2 * HOUR), revision="r9")
    assert redefined(before, again) is before
    other = replace(again, when=Timetable("", 2 * HOUR), next_at=BEGIN + 4 * HOUR)
    after = redefined(paused(before), other)
    assert (after.when, after.next_at, after.is_paused, after.last_at) == (
        other.when,
        BEGIN + 4 * HOUR,
        True,
        BEGIN + HOUR,
    )


def test_so_many_wait_to_be_started_and_no_more() -> None:
    schedule = replace(made(), pending=tuple(float(n) for n in range(PENDING_MAX)))
    after = decide(schedule, BEGIN + HOUR, HOURS)
    assert (len(after.pending), after.pending[0], after.pending[-1]) == (PENDING_MAX, 1.0, BEGIN + HOUR)


def test_a_clock_that_was_set_forward_and_back() -> None:
    """By days: what came while it was wrong has Runs, or gets them at its time; nothing stands still for days."""
    ahead = decide(made(Timetable("", HOUR, "UTC", "skip")), BEGIN + 72 * HOUR + 120, HOURS)
    assert (hours(ahead), ahead.next_at) == ([], BEGIN + 73 * HOUR)
    back = decide(ahead, BEGIN + HOUR / 2, HOURS)
    assert (back.next_at, back.decided_at) == (BEGIN + HOUR, BEGIN + HOUR / 2)
    assert hours(decide(back, BEGIN + HOUR, HOURS)) == [1]
    little = decide(made(), BEGIN + HOUR, HOURS)
    assert decide(little, BEGIN + HOUR - 600, HOURS) is little, "engines' clocks differ a little"


def test_the_id_of_a_run_tells_its_time() -> None:
    run = run_of("nightly", BEGIN)
    assert run == "nightly@2023-11-14T22:00:00Z"
    due = due_of(run)
    assert due is not None
    assert due.timestamp() == BEGIN
    assert [due_of(id) for id in ("nightly", "nightly@2023-02-31T00:00:00Z", "a@b", "")] == [None] * 4


# ---------------------------------------------------------------------- histories


class History:
    """Engines that look, die between any two things they do, and have clocks of their own.

    The row is changed from one revision to the next, as the Journal does it. A Run is what was started under an id.
    """

    def __init__(self, seed: int, catch_up: CatchUp, *, jumps: bool) -> None:
        self._chance = random.Random(f"{seed} {catch_up} {jumps}")
        self._jumps = jumps
        self._all = catch_up == "all"
        self._row = made(Timetable("", 60, "UTC", catch_up, 20 if jumps else 1_000))
        self._begin = self._row.next_at or 0.0
        self._runs: set[str] = set()
        self._decided: list[float] = []
        self._skews = [self._chance.uniform(-20, 20) for _ in range(3)]
        self._held: list[KeptSchedule | None] = [None] * 3

    def play(self) -> None:
        now = BEGIN
        for _ in range(250):
            now += self._chance.choice((0.5, 3.0, 20.0))
            engine = self._chance.randrange(3)
            if self._jumps and self._chance.random() < 0.05:
                self._skews[engine] = self._chance.choice((1.0, 5 * 86_400.0)) * self._chance.uniform(-1, 1)
            seen, self._held[engine] = self._held[engine] or self._row, None
            if self._chance.random() < 0.2:
                self._held[engine] = self._row  # it looked, and is slow
            else:
                self._look(seen, now + self._skews[engine])

    def _look(self, seen: KeptSchedule, clock: float) -> None:
        after = decide(seen, clock, HOURS)
        if after is not seen:
            if not self._put(seen, after):
                return
            self._decided += after.pending[len(seen.pending) :]
            seen = self._row
        elif abs(clock - seen.pending_since) < TRY_AGAIN_S:
            return
        if self._chance.random() < 0.2:
            return  # it dies before it starts anything
        dues = [due for due in seen.pending if self._chance.random() < 0.9]
        self._runs.update(run_of(seen.id, due) for due in dues)
        if dues and self._chance.random() < 0.8:
            self._put(seen, started(seen, dict.fromkeys(dues), clock))

    def _put(self, seen: KeptSchedule, after: KeptSchedule) -> bool:
        if seen.revision != self._row.revision:
            return False
        self._row = replace(after, revision=seen.revision + "+")
        return True

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with what happened."""
        decided, row = self._decided, self._row
        left = {due for due in decided if run_of(row.id, due) not in self._runs}
        if left - set(row.pending):
            yield f"{len(left)} times were decided on and never started"
        if self._jumps:
            return  # what is due again after a clock was set back has its Run already
        if sorted(set(decided)) != sorted(decided):
            yield "a time was decided on twice"
        whole = [self._begin + n * 60 for n in range(int(((row.next_at or 0.0) - self._begin) // 60))]
        if self._all and sorted(decided) != whole:
            yield f"of {len(whole)} times {len(decided)} were decided on"


def wrong(*, jumps: bool = False) -> set[str]:
    kinds: tuple[CatchUp, ...] = ("all", "latest", "skip")
    found: set[str] = set()
    for seed in range(60):
        for kind in kinds:
            history = History(seed, kind, jumps=jumps)
            history.play()
            found.update(history.wrong())
    return found


def test_each_time_is_started_once_whoever_dies() -> None:
    assert wrong() == set()


def test_clocks_that_jump_by_days_leave_nothing_out_that_was_decided() -> None:
    assert wrong(jumps=True) == set()


def decides_on_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """It forgets what it has decided on."""
    come = machine._come
    monkeypatch.setattr(machine, "_come", lambda s, first, now, calendar: come(s, first - 120, now, calendar))


def leaves_out_what_was_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        machine, "replace", lambda s, **new: replace(s, **{**new, "pending": new.get("pending", ())[-1:]})
    )


def looks_for_one_only(monkeypatch: pytest.MonkeyPatch) -> None:
    come = machine._come

    def one(*given: object) -> tuple[list[float], float | None]:
        found, later = come(*given)  # type: ignore[arg-type]
        return found[-1:], later

    monkeypatch.setattr(machine, "_come", one)


@pytest.mark.parametrize(
    ("plant", "says"),
    [
        (decides_on_what_came_before, "decided on twice"),
        (leaves_out_what_was_not_started, "never started"),
        (looks_for_one_only, "were decided on"),
    ],
)
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, plant: Callable[[pytest.MonkeyPatch], None], says: str
) -> None:
    plant(monkeypatch)
    assert any(says in text for text in wrong())
