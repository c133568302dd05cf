"""The contract of the port Schedules, a part of the Journal."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.schedules import TRY_AGAIN_S, KeptSchedule, Timetable
from weftrun.model.values import Inline, Payload
from weftrun.ports.journal import Journal
from weftrun.testing.contracts.sessions import TwoEngines

AT = 1_700_000_000.0
SCHEDULE = KeptSchedule(
    "nightly",
    "0" * 32,
    Timetable("0 3 * * *", 0, "Europe/Berlin", "all", 7, 30.0),
    FunctionSpec("app:report", "report", Kind.WATCHING, "v1"),
    Bundle("app", "/app/app.py"),
    Payload(Inline(b"arguments")),
    "digest",
    AT,
    AT + 100,
    AT + 10_000,
    is_paused=False,
    pending=(AT + 50,),
    pending_since=AT + 100,
    last_at=AT,
    fault="why not",
)
"""A schedule with every field, as the golden Journals have it."""

HOURLY = replace(SCHEDULE, id="hourly", when=Timetable("", 3600), pending=(), next_at=AT + 3600)
PAUSED = replace(HOURLY, id="paused", is_paused=True)


class ScheduleContract(TwoEngines):
    """Schedules."""

    def test_every_field_comes_back(self, engines: tuple[Journal, Journal]) -> None:
        """By its id, and in the list of all, which is in the order of ids."""
        first, second = engines
        assert first.put_schedule(SCHEDULE, "")
        assert first.put_schedule(HOURLY, "")
        assert second.schedules() == [HOURLY, SCHEDULE]
        assert second.schedule("nightly") == SCHEDULE
        assert second.schedule("weekly") is None

    def test_only_one_changes_a_revision(self, engines: tuple[Journal, Journal]) -> None:
        """Who comes second changes nothing; who says the same again has said it once."""
        first, second = engines
        one, other = (
            replace(SCHEDULE, revision="1" * 32, fault="one"),
            replace(SCHEDULE, revision="2" * 32, fault="two"),
        )
        assert not second.put_schedule(one, SCHEDULE.revision), "there is none yet"
        assert first.put_schedule(SCHEDULE, "")
        assert not second.put_schedule(other, ""), "there is one"
        assert second.put_schedule(other, SCHEDULE.revision)
        assert not first.put_schedule(one, SCHEDULE.revision)
        assert second.put_schedule(other, SCHEDULE.revision), "it has been put already"
        assert first.schedules() == [other]

    def test_one_that_was_deleted_is_not_changed(self, engines: tuple[Journal, Journal]) -> None:
        """Nor one that was made again since."""
        first, second = engines
        first.put_schedule(SCHEDULE, "")
        assert second.delete_schedule("nightly")
        assert not second.delete_schedule("nightly")
        late = replace(SCHEDULE, revision="1" * 32)
        assert not first.put_schedule(late, SCHEDULE.revision)
        again = replace(SCHEDULE, revision="2" * 32)
        assert second.put_schedule(again, "")
        assert not first.put_schedule(late, SCHEDULE.revision)
        assert first.schedules() == [again]

    def test_those_that_are_due_and_the_next_one(self, engines: tuple[Journal, Journal]) -> None:
        """By the time and, once a clock was set back, by when they were decided on; never one that is paused."""
        first, second = engines
        for schedule in (SCHEDULE, HOURLY, PAUSED):
            first.put_schedule(schedule, "")

        def due(now: float) -> list[str]:
            return sorted(schedule.id for schedule in second.schedules_by(now, set_back_s=1_000.0))

        again = SCHEDULE.pending_since + TRY_AGAIN_S
        assert due(again - 1) == ["nightly"], "the next"
        assert due(again) == ["hourly", "nightly"]
        assert due(AT + 3600) == ["hourly", "nightly"]
        assert due(AT - 899) == ["nightly"]
        assert due(AT - 901) == sorted(["hourly", "nightly", "nightly", "paused"])
