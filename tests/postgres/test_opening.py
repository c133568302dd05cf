"""Opening a Journal: what a server and a database must be like, who makes the tables, and sentences for the rest."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server
from tests.postgres.test_locks import SOON_S, until

from weftrun.adapters.postgres import schema
from weftrun.adapters.postgres.connection import connect, connect_text
from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.reading import PostgresReader
from weftrun.adapters.postgres.statements import SCHEMA
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly import place_of
from weftrun.entrypoints.cli.host import Check, checks
from weftrun.model.errors import InternalError, JournalCorrupt, JournalError, JournalFull, JournalNewer
from weftrun.ports.journal import Appended
from weftrun.testing.contracts.samples import end, more, start, uid

PASSWORD = "geheim"


def said(server: Server, *statements: str, database: str = "postgres") -> list[tuple[object, ...]]:
    with server.connect(database) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def role(server: Server, url: str) -> Iterator[str]:
    """Make a user that may do nothing in particular, and must give a password."""
    said(server, f"CREATE ROLE modest LOGIN PASSWORD '{PASSWORD}'")
    server.allow("local all modest scram-sha-256", "local all all trust")
    said(server, "SELECT pg_reload_conf()")
    yield f"postgresql://modest:{PASSWORD}@/postgres?host={server.folder}"
    said(server, "DROP SCHEMA IF EXISTS weftrun CASCADE", "DROP OWNED BY modest", "DROP ROLE modest")


# ------------------------------------------------------------------ URLs and passwords


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("postgresql://me:geheim@db.example:5433/runs?sslmode=require", "postgresql://me@db.example:5433/runs"),
        ("postgresql://me:geheim@/runs?host=/run/pg", "postgresql://me@/runs in /run/pg"),
        ("postgresql:///runs", "postgresql:///runs"),
        ("postgresql://me:ge@heim@db/runs", "postgresql://me@db/runs"),
        ("host=db user=me password=geheim dbname=runs", "postgresql://me@db/runs"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, text: str) -> None:
    assert connect_text(url) == text


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://me:ge%zzheim@db/runs", "can't be read.*percent-encoded"),
        ("postgresql://me:geheim@db/runs?geheim=1", "can't be read"),
        ("postgresql://me:x@geheim@localhost/runs", "has an @ in its password. Write it as %40"),
        ("postgresql://me:geheim@127.0.0.1:1/runs", "me@127.0.0.1:1/runs can't be reached.*Start the server"),
        ("postgresql://me:geheim@/runs?host=/nowhere", "in /nowhere can't be reached.*Start the server"),
    ],
)
def test_no_sentence_tells_a_password(url: str, sentence: str) -> None:
    with pytest.raises(JournalError, match=sentence) as caught:
        PostgresJournal(url, SystemEntropy())
    assert PASSWORD not in str(caught.value)
    assert "heim" not in str(caught.value)


def test_who_is_not_let_in_is_told_why(server: Server, role: str) -> None:
    for wrong, sentence in (
        (role.replace(PASSWORD, "falsch"), "Correct user and password"),
        (role.replace(f":{PASSWORD}", ""), "Add the password"),
        (server.url("nowhere"), 'database "nowhere" does not exist. Make it, or correct the URL'),
        (server.url("postgres", user="nobody"), 'role "nobody" does not exist'),
    ):
        with pytest.raises(JournalError, match=sentence) as caught:
            PostgresJournal(wrong, SystemEntropy())
        assert "falsch" not in str(caught.value)


# ------------------------------------------------------------------ servers and databases that won't do


def test_a_user_without_rights(server: Server, role: str) -> None:
    """It may be given a schema, which is then its own; then it needs no right on the database."""
    with pytest.raises(JournalError, match=r"lacks a right while bringing it up to date: permission denied.*Grant it"):
        PostgresJournal(role, SystemEntropy())
    said(server, "CREATE SCHEMA weftrun AUTHORIZATION modest")
    journal = PostgresJournal(role, SystemEntropy())
    assert journal.append([start(1)]) == Appended()
    journal.close()


def test_another_schema_of_that_name(server: Server, opened: OpenJournal, url: str) -> None:
    said(server, "CREATE SCHEMA weftrun", "CREATE TABLE weftrun.meta (x integer)")
    for opening in (opened, lambda: PostgresReader(url)):
        with pytest.raises(JournalError, match="has a schema weftrun that is no Journal"):
            opening()
    assert said(server, "SELECT count(*) FROM pg_class WHERE relnamespace = 'weftrun'::regnamespace") == [(1,)]


def test_a_database_in_another_encoding(server: Server, opened: OpenJournal) -> None:
    with pytest.raises(JournalError, match=r"encoded in LATIN1. Make one with ENCODING 'UTF8'"):
        opened(at=server.new_database("ENCODING 'LATIN1' TEMPLATE template0"))


def test_a_read_only_database(server: Server, opened: OpenJournal) -> None:
    at = server.new_database()
    name = at.rpartition("/test_")[2].partition("?")[0]
    opened(at=at).append([start(1)])
    said(server, f"ALTER DATABASE test_{name} SET default_transaction_read_only = on")
    with pytest.raises(JournalError, match="is read-only, met while recording"):
        opened(at=at).append([more(1, 2)])


@pytest.mark.sweep
def test_a_standby_can_be_read(server: Server, opened: OpenJournal, url: str) -> None:
    opened().append([start(1)])
    server.stop()
    signal = server.folder / "data/standby.signal"
    signal.touch()
    try:
        server.start()
        with pytest.raises(JournalError, match=r"is a standby, which only reads. Name the primary"):
            opened()
        with closing(PostgresReader(url)) as reader:
            assert reader.load(uid(1)) == [start(1)]
    finally:
        server.stop()
        signal.unlink()
        server.start()


def test_a_server_that_does_not_sync_is_warned_of(server: Server, opened: OpenJournal) -> None:
    said(server, "ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()")
    try:
        until(lambda: said(server, "SHOW fsync") == [("off",)])
        with pytest.warns(UserWarning, match="fsync off: Runs recorded there may not survive a crash of its host"):
            opened()
    finally:
        said(server, "ALTER SYSTEM RESET fsync", "SELECT pg_reload_conf()")
    until(lambda: said(server, "SHOW fsync") == [("on",)])
    with warnings.catch_warnings(action="error"):
        opened()


def test_what_a_connection_needs_is_set_whatever_the_defaults(server: Server, opened: OpenJournal) -> None:
    at = server.new_database()
    name = "test_" + at.rpartition("/test_")[2].partition("?")[0]

    def shown(setting: str) -> object:
        journal = opened(at=at)
        assert journal._connection is not None
        return journal._connection.execute(f"SHOW {setting}".encode()).fetchall()[0][0]

    for setting, theirs, ours in (
        ("synchronous_commit", "off", "on"),
        ("synchronous_commit", "remote_apply", "remote_apply"),
        ("default_transaction_isolation", "serializable", "read committed"),
        ("lock_timeout", "0", "5s"),
        ("statement_timeout", "200ms", "10min"),
    ):
        said(server, f"ALTER DATABASE {name} SET {setting} = '{theirs}'")
        assert shown(setting) == ours


# ------------------------------------------------------------------ who makes the tables


def test_there_is_none_yet(server: Server, opened: OpenJournal, url: str) -> None:
    for opening in (lambda: opened(create=False), lambda: PostgresReader(url)):
        with pytest.raises(JournalError, match=r"There is no Journal at .*or run a workflow there first"):
            opening()
    assert said(server, "SELECT to_regnamespace('weftrun')::text") == [(None,)]


def test_two_engines_that_open_it_first_at_the_same_time(server: Server, opened: OpenJournal) -> None:
    with server.connect() as gate, ThreadPoolExecutor(3) as threads:
        gate.execute("SELECT pg_advisory_lock(%s)", (schema.MIGRATION,))
        opening = [threads.submit(opened, patience_s=SOON_S) for _ in range(3)]
        waiting = b"SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        until(lambda: len(gate.execute(waiting).fetchall()) == 3, tuple(opening))
        gate.execute("SELECT pg_advisory_unlock(%s)", (schema.MIGRATION,))
        first, *others = [opened.result(SOON_S) for opened in opening]
    assert [journal.meta() for journal in others] == [first.meta()] * 2
    for number, journal in enumerate([first, *others]):
        assert journal.append([start(number)]) == Appended()
    assert len(first.open_runs()) == 3


def test_an_older_journal_is_brought_up_to_date_or_left_as_it_was(opened: OpenJournal, url: str) -> None:
    opened().append([start(1)])
    where = connect_text(url)
    wrong, right = "ALTER TABLE weftrun.run ADD COLUMN extra integer; SELECT 1/0", "CREATE TABLE weftrun.extra ()"
    with connect(url, patience_s=1, writes=True) as connection:
        with pytest.raises(InternalError, match="division by zero"):
            schema.bring_up_to_date(connection, where, 5, (*SCHEMA, wrong))
        assert opened().load(uid(1)) == [start(1)]
        seed = schema.meta_of(connection, where)[1]
        schema.bring_up_to_date(connection, where, 5, (*SCHEMA, right))
        assert schema.meta_of(connection, where) == (len(SCHEMA) + 1, seed)


def test_a_newer_journal_is_refused(server: Server, opened: OpenJournal, url: str) -> None:
    journal = opened()
    said(server, "UPDATE weftrun.meta SET version = 99")
    for opening in (opened, lambda: PostgresReader(url)):
        with pytest.raises(JournalNewer, match=r"newer weftrun \(format 99; this one knows up to \d+\). Nothing was"):
            opening()
    journal._drop()
    with pytest.raises(JournalNewer):
        journal.append([start(1)])


def test_an_older_journal_is_not_only_read(opened: OpenJournal, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    opened()
    monkeypatch.setattr(schema, "SCHEMA", (*SCHEMA, "SELECT 1"))
    with pytest.raises(JournalError, match=r"is of the older format \d+\. Open it once with an engine"):
        PostgresReader(url)


def test_a_missing_meta_row_is_told(server: Server, opened: OpenJournal) -> None:
    journal = opened()
    said(server, "DELETE FROM weftrun.meta")
    for using in (journal.meta, opened):
        with pytest.raises(JournalCorrupt, match="meta row is missing"):
            using()


# ------------------------------------------------------------------ while it is used


def test_a_full_disk_is_told_and_tried_again(server: Server, opened: OpenJournal) -> None:
    """The server's own error; the transaction is undone, and the same one goes through when there is room."""
    journal = opened()
    journal.append([start(1)])
    for code, sentence in (("53100", "No room is left on the disk"), ("53200", "is short of something")):
        said(
            server,
            f"""CREATE FUNCTION weftrun.full() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{code}'; END $$""",
            "CREATE TRIGGER full_disk BEFORE INSERT ON weftrun.record EXECUTE FUNCTION weftrun.full()",
        )
        with pytest.raises(JournalFull, match=sentence):
            journal.append([start(2), more(1, 2)])
        assert [run.id for run in journal.runs()] == ["run-1"]
        said(server, "DROP FUNCTION weftrun.full CASCADE")
    assert journal.append([start(2), more(1, 2)]) == Appended()


def test_tables_that_somebody_dropped(server: Server, opened: OpenJournal) -> None:
    journal = opened()
    said(server, "DROP SCHEMA weftrun CASCADE")
    for using in (journal.open_runs, lambda: journal.append([start(1)])):
        with pytest.raises(JournalError, match=r"The schema weftrun at .* is no Journal, or not whole"):
            using()


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            "UPDATE weftrun.record SET body = '\\x00' WHERE seq = 3",
            "Record 3 of Run run-1 in .* is damaged",
        ),
        ("DELETE FROM weftrun.record WHERE seq = 2", "Run run-1 has no record 2"),
        ("UPDATE weftrun.run SET start = '\\x000000000000'", "Record 1 of Run run-1 in .* is damaged"),
    ],
)
def test_damage_is_named_by_its_record(
    server: Server, opened: OpenJournal, url: str, damage: str, sentence: str
) -> None:
    opened().append([start(1), more(1, 2), more(1, 3)])
    said(server, damage)
    with closing(PostgresReader(url)) as reader, pytest.raises(JournalCorrupt, match=sentence):
        reader.load(uid(1))


def test_what_is_closed_stays_closed(opened: OpenJournal, url: str) -> None:
    journal, reader = opened(), PostgresReader(url)
    for closed in (journal, reader):
        closed.close()
        closed.close()
        with pytest.raises(JournalError, match="was closed"):
            closed.open_runs()


def test_a_reader_changes_nothing(opened: OpenJournal, url: str) -> None:
    opened().append([start(1), end(1, 2)])
    with closing(PostgresReader(url)) as reader:
        assert reader._connection is not None
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            reader._connection.execute("UPDATE weftrun.run SET epoch = 9")


# ------------------------------------------------------------------ what the doctor says


def found_by_the_doctor(url: str) -> Check:
    return next(check for check in checks(place_of(url)) if check.name == "Journal")


def test_the_doctor_finds_a_database_without_a_journal_well(url: str, role: str, opened: OpenJournal) -> None:
    fresh = found_by_the_doctor(url)
    assert (fresh.state, fresh.meaning) == ("ok", "it is made by the first Run")
    assert fresh.value == f"none yet at {place_of(url).shown}"
    opened()
    made = found_by_the_doctor(url)
    assert (made.state, made.value) == ("ok", place_of(url).shown)
    assert made.meaning == "can be read; 0 open Runs, 0 emits not delivered"
    wrong = found_by_the_doctor(role.replace(PASSWORD, "falsch"))
    assert (wrong.state, "falsch" in wrong.meaning) == ("fail", False)
    assert "password" in wrong.meaning
    nobody = found_by_the_doctor("postgresql://me@127.0.0.1:1/runs?connect_timeout=2")
    assert nobody.state == "fail"
    assert "Start the server" in nobody.meaning
