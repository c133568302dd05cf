"""Schedules in real engines: each Run once, whatever dies; what was missed; clocks that are set."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.schedules import reports

import weftrun
from weftrun.adapters.cron import CronCalendar
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.clock import pause, wall
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly import engine as assembled
from weftrun.assembly import open_engine, open_reader
from weftrun.assembly.collecting import Retention
from weftrun.model.errors import LimitExceeded, RunNotFound, UsageError
from weftrun.model.ids import RunId
from weftrun.model.schedules import CatchUp, KeptSchedule, Timetable, due_of, run_of
from weftrun.runtime.schedules import ScheduleBook
from weftrun.sdk.schedules import wanted

HOUR = 3600


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


def written(ledger: Path) -> list[str]:
    return ledger.read_text().split() if ledger.exists() else []


def scheduled_before(url: str, ledger: Path, seconds: float, when: Timetable) -> KeptSchedule:
    """Create a schedule as somebody did so many seconds ago, since when no engine was open."""
    journal = SqliteJournal(Path(url.removeprefix("sqlite:///")), SystemEntropy(), pause)
    book = ScheduleBook(journal, SystemEntropy(), CronCalendar(), lambda: wall() - seconds)
    made = book.create(wanted("hourly", when, reports.report, (str(ledger),), {}))
    journal.close()
    return made


def test_it_starts_runs_at_its_times(url: str, ledger: Path) -> None:
    """Which know what they are for; and no more once it is deleted."""
    with open_engine(url, sandboxes=1) as engine:
        schedule = engine.schedule("tick", weftrun.every(1), reports.report, str(ledger))
        until(lambda: len(written(ledger)) >= 2)
        schedule.pause()
        assert schedule.is_paused
        assert schedule.next() == []
        last = schedule.last
        assert last is not None
        until(lambda: f"{last:%Y-%m-%dT%H:%M:%S+00:00}" in written(ledger))
        schedule.delete()
        runs = [run.id for run in engine.list()]
        assert f"tick@{last:%Y-%m-%dT%H:%M:%SZ}" in runs
        assert engine.schedules() == []
        with pytest.raises(RunNotFound, match="No schedule has the id 'tick'"):
            schedule.trigger()
    assert len(set(written(ledger))) == len(written(ledger))
    assert_closed(url)


def test_several_engines_start_each_run_once(url: str, ledger: Path) -> None:
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(url, sandboxes=1)) for _ in range(3)]
        engines[0].schedule("tick", weftrun.every(1), reports.report, str(ledger))
        until(lambda: len(written(ledger)) >= 3)
        engines[1].get_schedule("tick").delete()
        ids = [run.id for run in engines[2].list()]
        until(lambda: all(run.status == "succeeded" for run in engines[2].list()))
    assert sorted(f"tick@{due[:19]}Z" for due in written(ledger)) == sorted(ids)
    assert_closed(url)


@pytest.mark.parametrize(("catch_up", "count"), [("skip", 0), ("latest", 1), ("all", 3)])
def test_what_was_missed_while_no_engine_was_open(url: str, ledger: Path, catch_up: CatchUp, count: int) -> None:
    """Three times, the last of them half an hour ago."""
    due = (wall() // HOUR) * HOUR
    behind = wall() - due + 61 if wall() - due < 61 else 0  # a time of just now is not missed
    made = scheduled_before(url, ledger, 3 * HOUR + behind, Timetable("", HOUR, "UTC", catch_up))
    assert made.next_at is not None
    with open_engine(url, sandboxes=1) as engine:
        if wall() - due < 61:
            pytest.skip("an hour has just begun")
        until(lambda: (engine._core.schedule("hourly").next_at or 0) > wall())  # type: ignore[attr-defined]
        until(lambda: not engine._core.schedule("hourly").pending)  # type: ignore[attr-defined]
        until(lambda: len(written(ledger)) == count)
    assert written(ledger) == [datetime.fromtimestamp(due - n * HOUR, UTC).isoformat() for n in reversed(range(count))]


def test_clocks_that_are_set_by_days(url: str, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward: what it says is due is started once. Back again: the next time is not days away."""
    shown = [0.0]
    monkeypatch.setattr(assembled, "wall", lambda: wall() + shown[0])
    with open_engine(url, sandboxes=1) as engine:
        schedule = engine.schedule("daily", weftrun.every(86_400), reports.report, str(ledger))
        (first,) = schedule.next()
        shown[0] = 3 * 86_400.0
        until(lambda: len(written(ledger)) == 1)
        assert schedule.next()[0] > first
        shown[0] = 0.0
        until(lambda: schedule.next() == [first])
        shown[0] = -2 * 86_400.0
        until(lambda: schedule.next()[0] < first)
        assert len(written(ledger)) == 1


def test_runs_beside_its_times(url: str, ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is one of its own, however soon one comes after the other or after a time that is due."""
    shown, begun = [0.0], wall()
    due = (begun // 86_400 + 1) * 86_400
    monkeypatch.setattr(assembled, "wall", lambda: begun + shown[0])
    with open_engine(url, sandboxes=1) as engine:
        schedule = engine.schedule("daily", weftrun.every(86_400), reports.report, str(ledger))
        shown[0] = due - begun
        runs = [schedule.trigger() for _ in range(3)]
        until(lambda: len(written(ledger)) == 4)
        assert {run.id for run in engine.list()} == {*runs, run_of("daily", due)}
        assert schedule.fault == ""


def test_an_id_that_belongs_to_another_run_is_told(url: str, ledger: Path) -> None:
    """The schedule goes on; that time has no Run of it."""
    due = datetime.fromtimestamp((wall() // 86_400 + 1) * 86_400, UTC)
    shown = [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(assembled, "wall", lambda: wall() + shown[0])
        with open_engine(url, sandboxes=1) as engine:
            engine.run(reports.write.options(id=f"daily@{due:%Y-%m-%dT%H:%M:%SZ}"), str(ledger), "other")
            schedule = engine.schedule("daily", weftrun.every(86_400), reports.report, str(ledger))
            shown[0] = due.timestamp() - wall() + 1
            until(lambda: schedule.fault != "")
            assert "belongs to" in schedule.fault or "another" in schedule.fault, schedule.fault
            until(lambda: not engine._core.schedule("daily").pending)  # type: ignore[attr-defined]
    assert written(ledger) == ["other"]


def test_a_run_that_was_forgotten_is_not_started_again(url: str, ledger: Path) -> None:
    """By an engine that read the schedule before another one had started it, and comes to it after it was deleted."""
    with open_engine(url, sandboxes=1) as engine:
        schedule = engine.schedule("daily", weftrun.every(86_400), reports.report, str(ledger))
        id = schedule.trigger()
        until(lambda: len(written(ledger)) == 1 and not engine._core.schedule("daily").pending)  # type: ignore[attr-defined]
        assert engine.get(id).result(60)
        with closing(open_reader(url)) as reader, pytest.raises(UsageError, match="as long as the schedule daily"):
            reader.delete(id, forget=True)
        with closing(open_reader(url)) as reader:
            gone = reader.collect(Retention(0.0, ("succeeded",), forget=True), lambda _: None)
        assert (gone.runs, gone.ids_kept) == (1, 1)
        late(url, id)
        until(lambda: not engine._core.schedule("daily").pending)  # type: ignore[attr-defined]
        schedule.delete()
        with closing(open_reader(url)) as reader:
            assert reader.delete(id, forget=True) is not None
            assert reader.find(RunId(id)) is None
    assert len(written(ledger)) == 1


def late(url: str, id: str) -> None:
    """Let an engine be about to start a Run of a schedule, as its row once said."""
    due = due_of(id)
    assert due is not None
    journal = SqliteJournal(Path(url.removeprefix("sqlite:///")), SystemEntropy(), pause)
    with closing(journal):
        (row,) = journal.schedules()
        again = replace(row, revision=SystemEntropy().uid(), pending=(due.timestamp(),), pending_since=0.0)
        assert journal.put_schedule(again, row.revision)


KILLED = """
import sys, time, weftrun
from tests.schedules import reports
with weftrun.open(sys.argv[1], sandboxes=1) as engine:
    engine.schedule("tick", weftrun.every(1), reports.report, sys.argv[2])
    time.sleep(60)
"""


@pytest.mark.sweep  # several seconds; the test of three engines, and the histories of decisions, are its share
def test_engines_that_are_killed_leave_no_time_out_and_start_none_twice(url: str, ledger: Path) -> None:
    """One after the other dies, in the middle of what it does; the schedule catches up on all."""
    with open_engine(url, sandboxes=1) as engine:
        when = weftrun.every(1, catch_up="all")
        schedule = engine.schedule("tick", when, reports.report, str(ledger))
        until(lambda: len(written(ledger)) >= 1)
    began = [0, len(written(ledger))]
    for lives in (1, 2):
        program = KILLED.replace("every(1)", "every(1, catch_up='all')")
        child = subprocess.Popen([sys.executable, "-c", program, url, str(ledger)], start_new_session=True)
        before = len(written(ledger))
        until(lambda before=before, lives=lives: len(written(ledger)) >= before + lives)  # type: ignore[misc]
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        began.append(len(written(ledger)))
    with open_engine(url, sandboxes=1) as engine:
        schedule = engine.get_schedule("tick")
        before = len(written(ledger))
        until(lambda: len(written(ledger)) >= before + 2)
        schedule.delete()
        until(lambda: all(run.status == "succeeded" for run in engine.list()))
    dues = sorted(datetime.fromisoformat(text).timestamp() for text in set(written(ledger)))
    assert dues == [dues[0] + n for n in range(len(dues))], "none is left out"
    # A visible Step that has no record when its engine is killed happens again in the next; in one engine none does.
    for start, end in zip(began, [*began[1:], None], strict=True):
        assert len(set(written(ledger)[start:end])) == len(written(ledger)[start:end])
    assert_closed(url)


def _bad(engine: weftrun.Engine, ledger: str) -> dict[str, Callable[[], object]]:
    every = weftrun.every(60)
    return {
        "can't be the id of a schedule": lambda: engine.schedule("no spaces", every, reports.report, ledger),
        "says no times": lambda: engine.schedule("a", "0 3 * * *", reports.report, ledger),  # type: ignore[call-overload]
        "is not a Function": lambda: engine.schedule("a", every, print),  # type: ignore[call-overload]
        "options that it can't have": lambda: engine.schedule("a", every, reports.report.options(id="b"), ledger),
        "hour '25'": lambda: engine.schedule("a", weftrun.cron("0 25 * * *"), reports.report, ledger),
        "is no interval": lambda: weftrun.every(0.5),
        "5 is no cron line": lambda: engine.schedule("a", weftrun.cron(5), reports.report, ledger),  # type: ignore[arg-type]
        "jitter_s='3'": lambda: engine.schedule("a", weftrun.every(60, jitter_s="3"), reports.report, ledger),  # type: ignore[arg-type]
        "catch_up_max='9'": lambda: engine.schedule("a", weftrun.every(60, catch_up_max="9"), reports.report, ledger),  # type: ignore[arg-type]
        "no time zone": lambda: engine.schedule("a", weftrun.cron("@daily", timezone="Mars"), reports.report, ledger),
    }


def test_what_means_nothing_is_told(url: str, ledger: Path) -> None:
    with open_engine(url, sandboxes=1) as engine:
        for says, do in _bad(engine, str(ledger)).items():
            with pytest.raises(UsageError, match=says):
                do()
        with pytest.raises(TypeError):
            engine.schedule("a", weftrun.every(60), reports.report)  # type: ignore[call-overload]
        with pytest.raises(LimitExceeded, match="more than may be kept with one"):
            engine.schedule("a", weftrun.every(60), reports.report, "x" * 100_000)
        assert engine.schedules() == []


def test_the_same_definition_again_changes_nothing(url: str, ledger: Path) -> None:
    """A program says it each time it begins."""
    with open_engine(url, sandboxes=1) as engine:
        for _ in range(2):
            engine.schedule("a", weftrun.every(86_400), reports.report, str(ledger))
        first = engine._core.schedule("a")  # type: ignore[attr-defined]
        engine.get_schedule("a").pause()
        engine.schedule("a", weftrun.every(86_400), reports.report, str(ledger))
        assert engine.get_schedule("a").is_paused
        engine.schedule("a", weftrun.every(43_200), reports.report, str(ledger))
        after = engine._core.schedule("a")  # type: ignore[attr-defined]
        assert (after.when.every_s, after.is_paused, after.made_at > first.made_at) == (43_200, True, True)
        engine.get_schedule("a").resume()
        assert len(engine.get_schedule("a").next(3)) == 3
