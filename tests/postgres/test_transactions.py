"""Transactions on PostgreSQL keep the contract."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import psycopg
import pytest
from tests.postgres.fixtures import OpenJournal
from tests.postgres.server import Server

from weftrun.adapters.postgres.journal import PostgresJournal
from weftrun.adapters.postgres.transactions import PostgresTransactions
from weftrun.model.errors import JournalBusy, JournalError, StatementRefused
from weftrun.ports.journal import Journal
from weftrun.ports.transactions import TransactionLost, Transactions
from weftrun.testing.contracts.samples import more, uid
from weftrun.testing.contracts.transactions import TransactionContract


@pytest.fixture
def url(emptied: str) -> str:
    return emptied


class TestPostgresTransactions(TransactionContract):
    schema = "weftrun."

    @pytest.fixture
    def connect(self, opened: OpenJournal) -> Callable[[], PostgresJournal]:
        return opened

    def transactions_of(self, journal: Journal) -> Transactions:
        assert isinstance(journal, PostgresJournal)
        return PostgresTransactions(journal)

    def test_other_rows_of_the_run_wait_for_nobody(self, journal: Journal, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        journal.append([more(1, 3)])
        opened.check()
        opened.commit([more(1, 4)], renew=False)
        assert [row.seq for row in journal.load(uid(1))] == [1, 2, 3, 4]

    def test_an_open_one_keeps_nobody_from_taking_over(
        self, connect: Callable[[], Journal], journal: Journal, transactions: Transactions
    ) -> None:
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        other = connect()
        assert other.declare_dead(other.sessions()[0])
        opened.roll_back()

    def test_a_server_that_is_away_for_now(self, server: Server, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        server.stop(signal.SIGKILL)
        with pytest.raises(TransactionLost, match="Nothing of it was committed"):
            opened.execute("SELECT 1", ())
        opened.roll_back()
        try:
            with pytest.raises(JournalBusy, match="The transaction begins when that is mended"):
                self.begun(transactions)
        finally:
            server.start_again()
        assert self.items(transactions) == []

    def test_types_without_a_word_of_ours_come_as_text(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute(
            "CREATE TABLE wide (n NUMERIC, u UUID, d DATE, j JSONB, b BYTEA, f FLOAT8, y BOOLEAN, a INTEGER[])", ()
        )
        values = ("1.50", "0" * 32, "2026-02-03", '{"a": 1}', b"\x00x", 0.5, True, "{1,2}")
        opened.execute("INSERT INTO wide VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
        (row,) = opened.execute("SELECT * FROM wide", ()).rows
        assert row == (
            "1.50",
            "00000000-0000-0000-0000-000000000000",
            "2026-02-03",
            '{"a": 1}',
            b"\x00x",
            0.5,
            True,
            "{1,2}",
        )
        opened.roll_back()

    def test_a_constraint_that_waits_is_checked_when_the_block_is_left(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)", ())
        opened.execute("CREATE TABLE child (id INTEGER REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)", ())
        opened.execute("INSERT INTO child VALUES (1)", ())
        with pytest.raises(StatementRefused, match="violates foreign key") as refused:
            opened.check()
        assert refused.value.code == "23503"
        opened.roll_back()

    def test_a_word_in_a_string_or_comment_is_no_parameter(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        sql = """SELECT '?', E'\\'?', "?" , $x$?$x$, ? /* ? */ FROM (SELECT 1 AS "?") AS t -- ?"""
        assert opened.execute(sql, ("v",)).rows == (("?", "'?", 1, "?", "v"),)
        assert opened.execute("SELECT $1::int + $1::int", (4,)).rows == ((8,),)
        opened.roll_back()

    def test_casts_slices_and_operators_are_no_parameters(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        sql = """SELECT :x::int, (ARRAY[1, 2, 3])[1:2], '{"a": 1}'::jsonb ? :key, E'\\':key', $x$:key$x$,
            date'2026-01-02'::text /* :a /* :b ? */ :c ? */ WHERE :x::int = 5"""
        found = opened.execute(sql, {"x": 5, "key": "a"}).rows
        assert found == ((5, "{1,2}", True, "':key", ":key", "2026-01-02"),)
        assert opened.execute("""SELECT '{"a": 1}'::jsonb ? $1""", ("a",)).rows == ((True,),)
        opened.roll_back()

    def test_values_that_are_texts_to_us_fit_their_columns(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("CREATE TABLE kinds (price numeric, at timestamptz, id uuid, data bytea, off boolean)", ())
        values = {
            "price": "1.50", "at": "2026-01-02 03:00:00+00:00", "id": "00000000-0000-0000-0000-000000000007",
            "data": b"\x00", "off": None,
        }  # fmt: skip
        opened.execute("INSERT INTO kinds VALUES (:price, :at, :id, :data, :off)", values)
        found = opened.execute("SELECT price, id, data, off FROM kinds WHERE at = :at", {"at": values["at"]}).rows
        assert found == (("1.50", values["id"], b"\x00", None),)
        opened.roll_back()

    def test_the_next_one_finds_no_trace(self, transactions: Transactions) -> None:
        for _ in range(2):
            opened = self.begun(transactions)
            opened.execute("CREATE TEMP TABLE mine (x INTEGER)", ())
            opened.execute("SELECT set_config('search_path', 'nowhere', false)", ())
            opened.roll_back()
        assert self.items(transactions) == []

    def test_a_long_statement_is_interrupted(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        timer = threading.Timer(0.2, opened.interrupt)
        timer.start()
        with pytest.raises(StatementRefused) as refused:
            opened.execute("SELECT pg_sleep(30)", ())
        assert refused.value.code == "57014"
        opened.roll_back()

    def test_a_connection_that_is_gone(self, url: str, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        ((pid,),) = opened.execute("SELECT pg_backend_pid()", ()).rows
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(%s)", (pid,))
        with pytest.raises(JournalError, match="Nothing of it was committed"):
            opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        opened.roll_back()
        assert self.items(transactions) == []
        with psycopg.connect(url, autocommit=True) as connection:  # an idle one is replaced
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        assert self.items(transactions) == []
