"""What lies in the file: checked when it is read, lean when it is written, and named in `.sql` files."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weftrun.adapters.sql import reading
from weftrun.adapters.sql.rows import blobs_in, body_of, records_of
from weftrun.adapters.sqlite import journal as journal_module
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.reading import SqliteReader
from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.errors import JournalCorrupt
from weftrun.model.ids import StepId
from weftrun.model.records import AttemptStarted, RollbackFailed
from weftrun.model.values import Blob, Inline, Payload
from weftrun.testing.contracts.samples import AT, CALL, FAILURE, ONE_OF_EACH, RAN, VALUE, end, more, start, uid
from weftrun.testing.contracts.sessions import session

OpenJournal = Callable[..., SqliteJournal]


@given(st.sampled_from(ONE_OF_EACH), st.integers(0, 10_000), st.integers(1, 255))
def test_no_damaged_byte_goes_unnoticed(record: object, place: int, change: int) -> None:
    body = bytearray(body_of((record,)))
    assert records_of(bytes(body), "here") == (record,)
    body[place % len(body)] ^= change
    with pytest.raises(JournalCorrupt, match=r"^here is damaged: its checksum does not match"):
        records_of(bytes(body), "here")


def test_how_the_records_of_a_rollback_are_stored() -> None:
    step = StepId("count[0]")
    records = (AttemptStarted(step, 2, VALUE, CALL), RollbackFailed(step, 2, 1, FAILURE, AT, RAN))
    body = body_of(records)
    assert records_of(body, "it") == records
    assert body.startswith(b"\x92\x95\x10\xa8count[0]\x02")
    assert b"\x97\x11\xa8count[0]\x02\x01" in body


def test_bytes_of_another_kind_are_told() -> None:
    whole = body_of(())
    for body in (b"", b"abc", whole[:-1]):
        with pytest.raises(JournalCorrupt, match="checksum"):
            records_of(body, "here")
    data = b"\x91\xc0"
    with pytest.raises(JournalCorrupt, match="here can't be read"):
        records_of(data + zlib.crc32(data).to_bytes(4, "big"), "here")


@given(st.lists(st.binary(min_size=32, max_size=32)), st.integers(0, 2**40))
def test_blobs_are_found_without_decoding(digests: list[bytes], nbytes: int) -> None:
    args = [Payload(Blob(digest.hex(), nbytes)) for digest in digests]
    records = [start(1, args=payload).records[0] for payload in args]
    assert blobs_in(body_of(tuple(records))) == [digest.hex() for digest in digests]
    assert blobs_in(body_of(start(1, args=Payload(Inline(b"ab" * 40))).records)) == []


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        ("UPDATE record SET body = x'00' WHERE seq = 3", "Record 3 of Run run-1 in .*app.db is damaged"),
        ("DELETE FROM record WHERE seq = 2", "Run run-1 has no record 2"),
        ("UPDATE run SET start = zeroblob(9)", "Record 1 of Run run-1 in .*app.db is damaged"),
    ],
)
def test_damage_is_named_by_its_record(opened: OpenJournal, path: Path, damage: str, sentence: str) -> None:
    opened().append([start(1), more(1, 2), more(1, 3)])
    with apsw.Connection(str(path)) as other:
        other.execute(damage)
    other.close()
    with pytest.raises(JournalCorrupt, match=sentence):
        SqliteReader(path).load(uid(1))


def test_a_missing_meta_row_is_told(opened: OpenJournal, path: Path) -> None:
    opened().close()
    with apsw.Connection(str(path)) as other:
        other.execute("DELETE FROM meta")
    other.close()
    with pytest.raises(JournalCorrupt, match="meta row is missing"):
        SqliteReader(path).meta()


def said_in(journal: SqliteJournal) -> list[str]:
    """Return a list to which every statement is added; counted by SQLite itself, not by us."""
    said: list[str] = []
    connection = journal._connection
    assert connection is not None

    def trace(cursor: apsw.Cursor, statement: str, bindings: object) -> bool:
        if not re.match(r"BEGIN|COMMIT", statement):
            said.append(statement)
        return True

    connection.exec_trace = trace
    return said


def test_a_one_step_run_costs_four_statements_and_two_looks(opened: OpenJournal) -> None:
    journal = opened()
    journal.begin(session(1))
    said = said_in(journal)
    journal.append([start(1)])
    journal.append([end(1, 2)])
    look = SQL["has_session"]
    assert said == [look, SQL["start_run"], look, SQL["add_record"], SQL["end_run"], SQL["drop_untaken"]]


def test_a_take_over_is_counted_back_once(opened: OpenJournal) -> None:
    """Not again with every later record."""
    journal = opened()
    journal.begin(session(1))
    journal.append([start(1)])
    journal.put_back([uid(1)])
    journal.claim([uid(1)])
    said = said_in(journal)
    journal.append([more(1, 2, epoch=2), more(1, 3, epoch=2)])
    journal.append([more(1, 4, epoch=2)])
    look = SQL["has_session"]
    written = [SQL["add_record"], SQL["add_record"], SQL["made_progress"]]
    assert said == [look, SQL["head"], *written, look, SQL["add_record"]]


def test_another_engine_is_noticed_inside_the_transaction(opened: OpenJournal) -> None:
    """Whatever this one remembers of the Run (O2)."""
    old, new = opened(), opened()
    old.append([start(1), start(2), more(2, 2)])
    new.claim([uid(1), uid(2)])
    new.append([end(2, 3, epoch=2)])
    for stale in ([more(1, 2)], [end(1, 2)], [more(2, 3)], [start(3), more(1, 2)]):
        assert old.append(stale).lost == {stale[-1].uid}
    assert [run.id for run in new.runs()] == ["run-3", "run-2", "run-1"]
    assert new.load(uid(1)) == [start(1)]
    new.append([more(1, 2, epoch=2)])


def test_every_statement_is_used_and_stands_only_in_sql_files() -> None:
    folders = Path(journal_module.__file__).parent, Path(reading.__file__).parent
    sources = {file: file.read_text() for folder in folders for file in folder.glob("*.py")}
    used = set(re.findall(r'(?:SQL|TRACE)\["(\w+)"\]|"(\w+)"', "\n".join(sources.values())))
    names = {name for pair in used for name in pair if name}
    assert set(SQL) <= names
    for file, text in sources.items():
        if file.name != "connection.py":
            assert not re.search(r'"(SELECT|INSERT|UPDATE|DELETE|CREATE) ', text), file
