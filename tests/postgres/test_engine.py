"""Engines on a Journal in PostgreSQL: Runs, take-overs, a server that goes away, and the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import arrays, forked, retried, test_undoing, undoing
from tests.engine import programs as p
from tests.engine import test_waiting as waiting
from tests.engine import untold as u
from tests.engine import waits as w
from tests.engine.emitting import Watched, order, spread
from tests.engine.test_many_engines import WAIT_S, Process, entries, rows_of, until

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.errors import RunCancelled


@pytest.fixture
def journal(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name an empty database; the files beside the Journal lie in this test's folder."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    return url


@pytest.fixture
def engine(journal: str) -> Iterator[weftrun.Engine]:
    with weftrun.open(journal, sandboxes=2) as opened:
        yield opened
    assert_closed(journal)


def test_runs_of_all_kinds(engine: weftrun.Engine, tmp_path: Path) -> None:
    assert engine.run(p.inc, 1) == 2
    assert engine.run(p.chain, 20) == 20
    assert engine.run(p.mixed, 12, str(tmp_path / "ledger")) == engine.run(p.mixed, 12, str(tmp_path / "other"))
    with pytest.raises(ValueError, match="odd"):
        engine.run(p.fail_odd, 3)


def test_what_can_hardly_be_told_is_one_outcome(engine: weftrun.Engine, tmp_path: Path) -> None:
    cases = ("ValueError: surrogate", "ValueError: nul", "TextExits: ", "NotesExit: ", "OddlyNamed: ")
    for case in cases:
        for function in (u.raises, u.watching_raises, u.maps_raises):
            ledger = tmp_path / f"{case} {function.spec.label}"
            with pytest.raises(Exception) as caught:  # noqa: PT011
                engine.run(function, case, str(ledger))
            assert type(caught.value).__name__ == case.partition(":")[0]
            assert ledger.read_bytes() == b"x"
    for case in ("fine: surrogate key", "fine: nul", "fine: repr with a surrogate", "fine: odd name"):
        assert engine.run(u.gives, case, str(tmp_path / case)) is not None
    assert [engine.run(u.prints) for _ in range(2)] == [None, None]


def test_text_that_the_database_takes_not(engine: weftrun.Engine) -> None:
    for parameters, sentence in (((u.NO_TEXT,), "holds a lone surrogate"), (("a\0b",), "NUL")):
        with pytest.raises(weftrun.StatementRefused, match=sentence):
            engine.run(u.says, "SELECT ?::text", parameters)
    for id in (u.NO_TEXT, "a\0b"):
        with pytest.raises(weftrun.RunNotFound):
            engine.get(id)
    assert engine.run(p.inc, 1) == 2


def test_a_sink_that_says_what_no_record_can_hold(journal: str) -> None:
    u.deliver_oddly(journal)


def test_a_large_value_is_kept_beside_the_journal(journal: str) -> None:
    with weftrun.open(journal, sandboxes=1) as engine:
        first = engine.run(arrays.array.options(id="large"), 100_000)
    with weftrun.open(journal, sandboxes=1) as engine:
        assert (engine.get("large").result(WAIT_S) == first).all()


def test_what_a_killed_engine_owned_goes_on_in_another(journal: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    first = Process(journal, 10.0, "one", 20, 0.05, ledger)
    try:
        until(lambda: len(entries(ledger)) >= 5)
        with weftrun.open(journal, sandboxes=1) as engine:
            run = engine.get("one")
            first.signal(signal.SIGKILL)
            assert run.result(WAIT_S) == sum(range(20))
    finally:
        first.close()
    epochs = [row.epoch for row in rows_of(journal, "one")]
    assert epochs == sorted(epochs) and set(epochs) == {1, 2}
    assert_closed(journal)


def test_what_is_emitted_is_delivered_by_whoever_has_the_sink(journal: str) -> None:
    with weftrun.open(journal, sandboxes=2) as engine:
        keys = engine.run(spread, 9)
    sink = Watched(60.0)
    with weftrun.open(journal, sandboxes=1, sinks={"orders": sink}) as engine:
        until(lambda: len(sink.handed) == 9)
        engine.run(order, 9, "key 1")
        until(lambda: len(sink.handed) == 10)
    assert sorted(message.key for message in sink.handed[:9]) == sorted(keys)
    for key in range(3):
        places = [keys.index(message.key) for message in sink.handed[:9] if message.order_by == f"key {key}"]
        assert sorted(places) == [key, key + 3, key + 6]


def test_a_run_that_waits_is_suspended_and_a_cancel_wakes_it(journal: str, tmp_path: Path) -> None:
    with waiting.opened(journal) as engine:
        soon = engine.start(w.soon.options(id="soon"), str(tmp_path / "soon"), 2)
        late = engine.start(w.later.options(id="late"), str(tmp_path / "late"), waiting.LONG_S)
        assert soon.result(WAIT_S) == "done at 2"
        until(lambda: waiting.owned(engine) == 0)
        late.cancel()
        with pytest.raises(RunCancelled):
            late.result(WAIT_S)


def test_a_run_that_failed_is_retried_by_two_at_once(journal: str, tmp_path: Path) -> None:
    """One life begins, and what had succeeded is not repeated (L1)."""
    folder = str(tmp_path)
    with weftrun.open(journal, sandboxes=1) as engine, weftrun.open(journal, sandboxes=1) as other:
        with pytest.raises(ValueError, match="declined"):
            engine.run(retried.saga.options(id="run"), 1, folder)
        (tmp_path / "mended").touch()
        runs = []
        for one in (engine, other):
            with contextlib.suppress(weftrun.UsageError):  # it had begun already
                runs.append(one.retry("run", force=True))  # it told of the failure, which stands
        assert [run.result(WAIT_S) for run in runs] == [[4, "paid"]] * len(runs)
        assert [info.lives for info in engine.list()] == [2]
    entered = (tmp_path / "ledger").read_text().splitlines()
    assert [line for line in entered if not line.startswith("pay")] == [
        "book book[0] 1",
        "tell tell[0] 1",
        "unbook unbook[0] 1",
        "tell tell~2[0] 1",
    ]
    assert_closed(journal)


@pytest.mark.sweep  # several seconds; tests/engine/test_undoing.py has it on SQLite
def test_a_cancel_undoes(journal: str, tmp_path: Path) -> None:
    """Also where it is asked for by another process, while the Run only waits and nobody has it."""
    folder = str(tmp_path)
    with weftrun.open(journal, sandboxes=1) as engine:
        run = engine.start(undoing.trip.options(id="trip"), folder)
        until((tmp_path / "napping").exists)
    reader = open_reader(journal)
    reader.post_cancel("trip")
    reader.close()
    with weftrun.open(journal, sandboxes=1) as engine, pytest.raises(RunCancelled):
        engine.get(run.id).result(timeout_s=60)
    assert test_undoing.ledger(folder) == [*test_undoing.BOOKED, *test_undoing.UNDONE]
    assert_closed(journal)


def test_a_fork(journal: str, tmp_path: Path) -> None:
    with weftrun.open(journal, sandboxes=1) as engine:
        before = engine.run(forked.watched.options(id="one"), 300_000, 1, str(tmp_path))
        assert engine.fork("one", "size[0]", id="two").result(timeout_s=60) == before
        assert engine.fork("one", "size[0]", id="two").result(timeout_s=60) == before
        with pytest.raises(weftrun.RunConflict):
            engine.fork("one", "drawn[0]", id="two")
    assert sorted((tmp_path / "ledger").read_text().split()) == ["drawn[0]", "large[0]", "size[0]", "size[0]"]
    assert_closed(journal)


def test_the_command_line(journal: str, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from weftrun import function\n@function\ndef twice(x: int) -> int:\n    return 2 * x\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "WEFTRUN_DATABASE_URL": journal}

    def weft(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "weftrun", *words]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert weft("run", "app.py:twice", "x=21", "--id", "one").stdout == "42\n"
    assert [run["status"] for run in json.loads(weft("list", "--json").stdout)] == ["succeeded"]
    assert "succeeded" in weft("story", "one").stdout
    assert weft("doctor").returncode in (0, 1)
    assert weft("delete", "one").returncode == 0
    wrong = weft("list", "--db", "postgresql://nobody:secret@/nowhere?host=/nowhere")
    assert wrong.returncode == 4
    assert "secret" not in wrong.stderr and len(wrong.stderr.splitlines()) == 1
