"""`weftrun move`: a Journal goes from SQLite to PostgreSQL, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import awaits, emitting
from tests.engine import programs as p
from tests.engine.conftest import until

import weftrun
from weftrun.adapters.postgres.moving_in import MovingIn
from weftrun.adapters.sql.tables import TableDigest
from weftrun.adapters.sqlite.moving_out import MovingOut
from weftrun.assembly import moving, open_reader, place_of
from weftrun.entrypoints.cli import main
from weftrun.model.errors import JournalBusy, JournalCorrupt, JournalError, UsageError

SEVERAL = ("chain", "big", "odd", "queued", "waits", "told")


@pytest.fixture
def target(emptied: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name an empty Journal in PostgreSQL, whose files lie in this test's folder."""
    monkeypatch.setenv("WEFTRUN_FOLDER", str(tmp_path / "beside"))
    return emptied


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a Journal in SQLite: Runs that ended or wait, an emit that waits, a schedule, a queue, a value."""
    folder = tmp_path_factory.mktemp("filled")
    with weftrun.open(f"sqlite:///{folder / 'j.db'}", sandboxes=1) as engine:
        assert engine.run(p.chain.options(id="chain"), 5) == 5
        assert len(engine.run(p.echo.options(id="big"), bytes(200_000))) == 200_000
        with pytest.raises(ValueError, match="odd"):
            engine.run(p.fail_odd.options(id="odd"), 3)
        engine.run(emitting.order.options(id="told"), 1)
        engine.schedule("nightly", weftrun.cron("0 3 * * *"), p.inc, 1).pause()
        engine.queue(weftrun.queue("calm", concurrency=1)).pause()
        engine.start(p.inc.options(id="queued", queue="calm"), 6)
        waits = engine.start(awaits.approval.options(id="waits"), str(folder / "ledger"))
        until(lambda: waits.waiting_for == "signal verdict")
    return folder


@pytest.fixture
def journal(filled: Path, tmp_path: Path) -> Path:
    """A copy of that Journal."""
    shutil.copytree(filled, tmp_path / "filled")
    return tmp_path / "filled" / "j.db"


def move(path: Path, target: str) -> moving.MovedJournal:
    return moving.move_journal(place_of(f"sqlite:///{path}"), place_of(target), lambda _: None)


def statuses(url: str) -> dict[str, str]:
    with contextlib.closing(open_reader(url)) as reader:
        return {info.id: info.status for info in reader.runs()}


def test_all_of_a_journal_is_moved(journal: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Ended Runs give their answers, what waited goes on, and what comes has higher numbers."""
    before = statuses(f"sqlite:///{journal}")
    assert sorted(before) == sorted(SEVERAL)
    assert main(["move", "--db", f"sqlite:///{journal}", "--to", target, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["runs"], told["values"]) == (6, 2)
    assert "@" not in told["journal"] or ":" not in told["journal"].partition("@")[0].removeprefix("postgresql://")
    assert statuses(target) == before
    assert main(["list", "--db", f"sqlite:///{journal}"]) == 4
    assert "was moved to postgresql://" in capsys.readouterr().err
    with weftrun.open(target, sandboxes=1) as engine:
        assert engine.get("big").result(60) == bytes(200_000)
        with pytest.raises(ValueError, match="odd"):
            engine.get("odd").result(60)
        assert [schedule.id for schedule in engine.schedules()] == ["nightly"]
        waits = engine.get("waits")
        waits.signal("verdict", awaits.Verdict(approved=True))
        assert waits.result(60) == "published"
        engine.queue("calm").resume()
        assert engine.get("queued").result(60) == 7
        assert engine.run(p.inc.options(id="after"), 1) == 2
    assert next(iter(statuses(target))) == "after", "the newest comes first"
    with contextlib.closing(open_reader(target)) as reader:
        assert len(reader.undelivered(10)) == 1
    assert_closed(target)


def test_what_was_cut_off_before_its_end_is_done_when_it_is_said_again(
    journal: Path, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the tables were committed nothing is there; afterwards it is found to be this Journal."""

    class CutOff(Exception):
        pass

    def cut_off(*_: object) -> None:
        raise CutOff

    for place, name in ((MovingIn, "_check"), (MovingOut, "moved")):
        with monkeypatch.context() as patch:
            patch.setattr(place, name, cut_off)
            with pytest.raises(CutOff):
                move(journal, target)
        assert statuses(target) == ({} if name == "_check" else statuses(f"sqlite:///{journal}"))
    assert move(journal, target).runs == 6
    with pytest.raises(JournalError, match="was moved to postgresql://"):
        move(journal, target)


def test_nothing_is_moved_that_can_not_be_whole(
    journal: Path, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine has it open, a value is missing, what is read again is another, or there is another Journal."""
    with weftrun.open(f"sqlite:///{journal}", recover="none", sandboxes=1), pytest.raises(JournalBusy, match="has the"):
        move(journal, target)
    value, _ = (journal.parent / "j.db.d" / "blobs").iterdir()
    value.rename(tmp_path / "away")
    with pytest.raises(JournalCorrupt, match="is missing: nothing was moved"):
        move(journal, target)
    value.write_bytes(bytes(200_000))
    with pytest.raises(JournalCorrupt, match="is damaged"):
        move(journal, target)
    (tmp_path / "away").rename(value)
    with monkeypatch.context() as patch:
        patch.setattr(MovingIn, "_digest", lambda *_: TableDigest(0, ""))
        with pytest.raises(JournalCorrupt, match="gives 0 rows of run that are not the 6"):
            move(journal, target)
    assert statuses(target) == {}
    with weftrun.open(target, sandboxes=1) as engine:
        assert engine.run(p.inc.options(id="another"), 1) == 2
    with pytest.raises(UsageError, match="There is another Journal at"):
        move(journal, target)
    assert list(statuses(target)) == ["another"]
    assert sorted(statuses(f"sqlite:///{journal}")) == sorted(SEVERAL)


def test_only_from_sqlite_to_postgresql(journal: Path, target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["move", "--db", f"sqlite:///{journal}", "--to", "sqlite:///other.db"]) == 2
    assert main(["move", "--db", target, "--to", target]) == 2
    assert main(["move", "--db", f"sqlite:///{journal}.none", "--to", target]) == 4
    assert "give --db sqlite:///FILE --to postgresql://" in capsys.readouterr().err
