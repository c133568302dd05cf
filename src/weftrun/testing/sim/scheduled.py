"""Schedules in a simulated world: engines whose clocks differ, and what may come of each time exactly once."""

from __future__ import annotations

from collections.abc import Callable

from weftrun.model.ids import RunId
from weftrun.model.schedules import Calendar, KeptSchedule, Timetable, run_of
from weftrun.testing.sim.chance import Chance


class Steady:
    """A calendar of whole multiples of a timetable's interval."""

    def after(self, when: Timetable, at: float) -> float | None:
        """Return the first time later than `at`."""
        return (at // when.every_s + 1) * when.every_s

    def before(self, when: Timetable, at: float) -> float | None:
        """Return the last time not later than `at`."""
        return at // when.every_s * when.every_s


STEADY: Calendar = Steady()


class ScheduleRegister:
    """What was decided on schedules, told by the layer over each engine's Journal.

    Attributes:
        broken: what must not have happened, as sentences.
        decided: times whose Runs were to be started, by schedule; `ever` has those too that a clock which was set back
            brings again.
        kept: schedules as they are.
    """

    def __init__(self, has_run: Callable[[RunId], bool]) -> None:
        """Begin without a schedule; `has_run` says whether a Run with an id is there."""
        self.broken: list[str] = []
        self.decided: dict[str, set[float]] = {}
        self.ever: dict[str, set[float]] = {}
        self.kept: dict[str, KeptSchedule] = {}
        self._has_run = has_run

    def changed(self, after: KeptSchedule, expected: str) -> None:
        """A schedule's row was changed."""
        before = self.kept.get(after.id)
        if before is not None and before.revision == after.revision:
            return  # said again
        if (before.revision if before is not None else "") != expected:
            self.broken.append("schedule: a change was made to a revision that was not there any more")
        self.kept[after.id] = after
        decided, ever = self.decided.setdefault(after.id, set()), self.ever.setdefault(after.id, set())
        if before is None:
            return
        if before.next_at is not None and after.next_at is not None:
            if after.next_at < before.next_at:  # a clock was set back, and times come again
                decided.difference_update([due for due in decided if due >= after.next_at])
            elif after.when.catch_up == "all":
                self._check_all(before, after)
        for due in after.pending:
            if due not in before.pending:
                if due in decided:
                    self.broken.append(f"schedule: {run_of(after.id, due)} was decided on twice")
                decided.add(due)
                ever.add(due)
        for due in before.pending:
            if due not in after.pending and not self._has_run(run_of(after.id, due)):
                self.broken.append(f"schedule: {run_of(after.id, due)} was taken for started, and is not there")

    def _check_all(self, before: KeptSchedule, after: KeptSchedule) -> None:
        """Note times that were passed over though all of them are to be started."""
        due, later = before.next_at, after.next_at
        if after.is_paused or before.is_paused or due is None or later is None:
            return
        missed = []
        while due < later:
            missed += [] if due in after.pending else [due]
            due += after.when.every_s
        if missed and len(missed) <= after.when.catch_up_max - len(after.pending):
            self.broken.append(f"schedule: {run_of(after.id, missed[0])} was passed over")


def draw_skews(chance: Chance) -> tuple[float, ...]:
    """Draw how far the clocks of engines are off, in seconds: each that is opened has one of these."""
    return chance.one_of(((0.0,), (0.0, 0.4, -0.4), (0.0, 2.5, -2.5), (0.0, 0.0, 7200.0)))
