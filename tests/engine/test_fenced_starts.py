"""Starts that are on their way: nobody is told too early, and nobody is told what is not so."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import assert_closed
from tests.engine import programs as p
from tests.engine.conftest import until

import weftrun
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly.places import place_of
from weftrun.model.errors import CommitUnknown
from weftrun.model.records import Row
from weftrun.ports.journal import Appended


def declare_all_dead(url: str) -> None:
    """Do what an engine does that takes all others for dead."""
    journal = place_of(url).open(SystemEntropy())
    for session in journal.sessions():
        assert journal.declare_dead(session)
    journal.close()


@pytest.mark.parametrize("happened", [False, True], ids=["not durable", "durable, and its answer lost"])
def test_starts_behind_the_commit_that_finds_the_session_gone(
    happened: bool, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is a free Run at that moment, so that the engine has another session at once."""
    gate, ledger = tmp_path / "gate", tmp_path / "ledger"
    append = SqliteJournal.append
    behind: list[threading.Thread] = []
    runs: dict[str, weftrun.Run[int]] = {}

    def start(engine: weftrun.Engine, name: str, **options: Any) -> None:
        runs[name] = engine.start(p.noted.options(**options), len(name), str(ledger))

    def lost(self: SqliteJournal, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:
        monkeypatch.setattr(SqliteJournal, "append", append)
        for name, options in (("bb", {}), ("ccc", {"id": "c"})):
            behind.append(threading.Thread(target=start, args=(engine, name), kwargs=options))
            behind[-1].start()
        time.sleep(0.2)  # so that they stand behind this commit; they must start wherever they stand
        if happened:
            append(self, rows, renew=renew)
        declare_all_dead(url)
        if happened:
            raise CommitUnknown("The answer was lost.")
        return append(self, rows, renew=renew)

    with weftrun.open(url, sandboxes=4) as engine:
        free = engine.start(p.waits, str(gate))
        until(lambda: any(step.status == "running" for step in free.steps()))
        monkeypatch.setattr(SqliteJournal, "append", lost)
        start(engine, "a")
        for thread in behind:
            thread.join(60)
        gate.touch()
        assert {name: run.result(60) for name, run in runs.items()} == {"a": 2, "bb": 3, "ccc": 4}
        assert free.result(60)
        ids = {info.id for info in engine.list()}
    assert ids == {run.id for run in (free, *runs.values())}, "none was started twice"
    assert len(ledger.read_text().splitlines()) == 3
    assert_closed(url)


def test_nobody_who_starts_one_run_is_told_before_it_is_durable(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    append = SqliteJournal.append
    reached, go_on = threading.Event(), threading.Event()
    told: list[str] = []

    def waits(self: SqliteJournal, rows: Sequence[Row], **how: bool) -> Appended:
        reached.set()
        assert go_on.wait(60)
        return append(self, rows, **how)

    def start(engine: weftrun.Engine) -> None:
        told.append(engine.start(p.inc.options(id="one"), 1).id)

    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(p.inc, 0)
        monkeypatch.setattr(SqliteJournal, "append", waits)
        threads = [threading.Thread(target=start, args=(engine,)) for _ in range(3)]
        threads[0].start()
        assert reached.wait(60)
        for thread in threads[1:]:
            thread.start()
        time.sleep(0.2)
        assert told == []
        go_on.set()
        for thread in threads:
            thread.join(60)
        assert engine.get("one").result(60) == 2
    assert told == ["one"] * 3
