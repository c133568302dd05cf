"""Schedules on PostgreSQL: two engines, each Run once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.schedules import reports

import weftrun


def test_two_engines_start_each_run_once(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    ledger = tmp_path / "ledger"
    with weftrun.open(url, sandboxes=1) as first, weftrun.open(url, sandboxes=1) as second:
        first.schedule("tick", weftrun.every(1, catch_up="all"), reports.report, str(ledger))
        until(lambda: ledger.exists() and len(ledger.read_text().split()) >= 3)
        schedule = second.get_schedule("tick")
        schedule.pause()
        until(lambda: schedule.last is not None)
        schedule.delete()
        until(lambda: all(run.status == "succeeded" for run in second.list()))
        ids = sorted(run.id for run in second.list())
    assert sorted(f"tick@{due[:19]}Z" for due in ledger.read_text().split()) == ids
    assert_closed(url)
