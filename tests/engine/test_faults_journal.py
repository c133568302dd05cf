"""Journals that can't be used: `weftrun.open` says why in one sentence, changes nothing, and leaves nothing behind."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import faulty as f
from tests.engine import programs as p
from tests.engine.conftest import until
from tests.engine.leftovers import in_namespaces, nothing_left, warm  # noqa: F401
from tests.sweeping import swept

import weftrun
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SCHEMA
from weftrun.model.errors import CommitUnknown
from weftrun.model.ids import RunUid
from weftrun.model.records import Row


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def used(url: str, path: Path) -> Path:
    """A Journal with Runs in it that nobody has open."""
    with weftrun.open(url, sandboxes=1) as engine:
        runs = [engine.start(f.inc.options(id=f"run-{i}"), i) for i in range(100)]
        assert [run.result(30) for run in runs] == list(range(1, 101))
    return path


def refused(path: Path, error: type[weftrun.JournalError], sentence: str) -> None:
    """`open` raises this error, in one sentence that names the file, and doesn't touch the file."""
    before = path.read_bytes()
    for _ in range(2):
        with pytest.raises(error, match=sentence) as caught:
            weftrun.open(f"sqlite:///{path}", sandboxes=1)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_a_newer_schema(used: Path) -> None:
    newer = apsw.Connection(str(used))
    newer.pragma("user_version", len(SCHEMA) + 1)
    newer.close()
    refused(used, weftrun.JournalNewer, r"newer weftrun")
    older = apsw.Connection(str(used))
    older.pragma("user_version", len(SCHEMA))
    older.close()
    with weftrun.open(f"sqlite:///{used}", sandboxes=1) as engine:
        assert engine.get("run-7").result(60) == 8


def test_no_database(path: Path) -> None:
    path.write_text("name,count\n" * 1_000)
    refused(path, weftrun.JournalCorrupt, "no SQLite database")


def damage(path: Path, keep: int) -> None:
    """Overwrite every page but the first few."""
    whole = bytearray(path.read_bytes())
    for page in range(keep, len(whole) // 4096):
        whole[page * 4096 : page * 4096 + 512] = b"\xa5" * 512
    path.write_bytes(whole)


def test_damaged_from_the_beginning(used: Path) -> None:
    damage(used, 1)
    refused(used, weftrun.JournalCorrupt, "is damaged")


def test_damage_that_is_met_later(url: str, used: Path) -> None:
    """What is asked of the damaged part is refused; the engine does not answer from it, and closes as ever."""
    damage(used, len(used.read_bytes()) // 4096 // 2)
    met = []
    try:
        with weftrun.open(url, sandboxes=1) as engine:
            for i in range(100):
                try:
                    assert engine.get(f"run-{i}").result(60) == i + 1
                except weftrun.JournalError as error:
                    met.append(error)
    except weftrun.JournalCorrupt as error:
        met.append(error)
    assert met
    assert all(isinstance(error, weftrun.JournalCorrupt) and "is damaged" in str(error) for error in met)


def test_a_value_whose_file_is_gone(url: str, tmp_path: Path) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(f.big.options(id="large"), 300_000, str(tmp_path / "ledger"))
        large = run.result(30)
        assert len(large) == 300_000
    (blob,) = (tmp_path / "journal.db.d/blobs").iterdir()
    content = blob.read_bytes()
    blob.unlink()
    with weftrun.open(url, sandboxes=1) as engine:
        with pytest.raises(weftrun.JournalCorrupt, match=rf"{blob.name}, which a record names, is missing"):
            engine.get("large").result(60)
        assert engine.run(f.inc, 1) == 2
    blob.write_bytes(b"?" + content[1:])
    with (
        weftrun.open(url, sandboxes=1) as engine,
        pytest.raises(weftrun.JournalCorrupt, match=rf"{blob.name} is damaged"),
    ):
        engine.get("large").result(60)
    blob.write_bytes(content)
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("large").result(60) == large


def test_a_journal_that_is_away_while_a_run_is_taken_over(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Run is read when that is possible again; it is nobody's end."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    with weftrun.open(url, sandboxes=1, recover="none") as engine:
        engine.start(f.noted_after_file.options(id="left"), str(ledger), str(go), 7)
        engine.close(drain_s=0)
    go.touch()
    reads: list[RunUid] = []
    real = SqliteJournal.load

    def load(self: SqliteJournal, uid: RunUid) -> list[Row]:
        reads.append(uid)
        if len(reads) < 3:
            raise CommitUnknown("It was away.")
        return real(self, uid)

    monkeypatch.setattr(SqliteJournal, "load", load)
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("left").result(30) == 7
    assert len(reads) >= 3


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    with pytest.raises(weftrun.JournalError, match="it is a folder"):
        weftrun.open(f"sqlite:///{folder}")


def test_a_file_where_the_folder_of_values_belongs(url: str, used: Path) -> None:
    blobs = used.with_name("journal.db.d") / "blobs"
    blobs.rmdir()
    blobs.touch()
    with pytest.raises(weftrun.JournalError, match=rf"Values can't be stored in {blobs}"):
        weftrun.open(url)
    blobs.unlink()
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("run-7").result(60) == 8


def test_a_writer_that_holds_the_file(
    url: str, used: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The lock is waited for, with a word about it, and Runs go on when it is free: nobody is lost for it."""
    assert SqliteJournal.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(SqliteJournal.__init__.__kwdefaults__, "patience_s", 0.1)
    gate = used.with_name("gate")
    with weftrun.open(url, sandboxes=1) as engine, ThreadPoolExecutor(1) as thread:
        run = engine.start(p.waits.options(id="stands still"), str(gate))
        foreign = apsw.Connection(str(used))
        foreign.execute("BEGIN IMMEDIATE")
        gate.touch()
        started = thread.submit(engine.start, f.inc.options(id="held"), 1)
        until(lambda: run.waiting_for == "lock")
        assert engine.get("run-1").result(60) == 2
        assert not started.done()
        foreign.execute("ROLLBACK")
        foreign.close()
        assert (run.result(60), started.result(60).result(60)) == ("open", 2)
        assert run.waiting_for is None
    (said,) = [record.getMessage() for record in caplog.records]
    assert re.fullmatch(r".*journal\.db is locked by another process while recording\. .* Runs stand still.*", said)
    assert_closed(url)


def test_an_engine_that_closes_does_not_wait_for_a_writer(
    url: str, used: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it could not put back is found by the next one. What comes after is not tried: it would wait as long."""
    assert SqliteJournal.__init__.__kwdefaults__ is not None
    monkeypatch.setitem(SqliteJournal.__init__.__kwdefaults__, "patience_s", 0.1)
    left = []

    def leave(self: SqliteJournal) -> None:
        left.append(self)

    monkeypatch.setattr(SqliteJournal, "leave", leave)
    gate = used.with_name("gate")
    engine = weftrun.open(url, sandboxes=1)
    engine.start(p.waits.options(id="left"), str(gate))
    foreign = apsw.Connection(str(used))
    foreign.execute("BEGIN IMMEDIATE")
    gate.touch()
    engine.close(drain_s=0)
    foreign.execute("ROLLBACK")
    foreign.close()
    assert not left
    monkeypatch.undo()
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("left").result(60) == "open"
    assert_closed(url)


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("runs", lambda engine, _: engine.list()),
        swept("load", lambda _, run: run.steps()),
        swept("find", lambda engine, _: engine.get("nobody")),
        ("append", lambda engine, _: engine.run(f.inc, 3)),
    ],
)
def test_a_bug_is_told_and_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch, call: str, use: Callable[[weftrun.Engine, weftrun.Run[int]], object]
) -> None:
    def has_a_bug(*_: object, **__: object) -> None:
        raise TypeError("planted")

    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(f.inc, 1)
        assert run.result(60) == 2
        monkeypatch.setattr(SqliteJournal, call, has_a_bug)
        for _ in range(2):
            with pytest.raises(weftrun.InternalError, match="weftrun has a bug: TypeError: planted"):
                use(engine, run)
    monkeypatch.undo()
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(f.inc, 2) == 3
    assert_closed(url)


def test_a_bug_does_not_keep_an_engine_from_being_closed(
    url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def has_a_bug(_: SqliteJournal) -> None:
        raise TypeError("planted")

    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(f.inc, 1) == 2
        monkeypatch.setattr(SqliteJournal, "leave", has_a_bug)
    assert [record.getMessage() for record in caplog.records] == ["weftrun has a bug: TypeError: planted"]
    monkeypatch.undo()
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(f.inc, 2) == 3


READ_ONLY = """
import subprocess, sys, weftrun
from pathlib import Path
from weftrun.assembly import open_reader
folder = Path(sys.argv[1])
subprocess.run(["mount", "--bind", folder, folder], check=True)
subprocess.run(["mount", "-o", "remount,ro,bind", folder], check=True)
url = f"sqlite:///{folder / 'journal.db'}"
for _ in range(2):
    try:
        weftrun.open(url)
    except weftrun.JournalError as error:
        print(type(error).__name__, error)
reader = open_reader(url)
print(len(reader.runs()))
reader.close()
"""


def test_a_read_only_file_system(used: Path, url: str, tmp_path: Path) -> None:
    done = in_namespaces(READ_ONLY, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second, count = done.stdout.splitlines()
    assert first == second
    assert first.startswith(f"JournalError {tmp_path}")
    assert "must be able to write there" in first or "read-only" in first
    assert count == "100"
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("run-7").result(60) == 8


ON_TMPFS = """
import subprocess, sys, warnings, weftrun
from tests.engine import faulty as f
folder = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=True)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=1) as engine:
        print(engine.run(f.chain, 100))
for warning in caught:
    print(warning.message)
"""


def test_a_journal_in_memory_is_warned_of_and_works(tmp_path: Path) -> None:
    done = in_namespaces(ON_TMPFS, tmp_path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    answer, warning = done.stdout.splitlines()
    assert answer == "100"
    assert warning.startswith(f"{tmp_path}/journal.db lies in memory (tmpfs)")
