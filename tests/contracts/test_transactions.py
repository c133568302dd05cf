"""Transactions on SQLite keep the contract."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.transactions import SqliteTransactions, journal_tables
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.model.errors import JournalBusy, JournalError, StatementRefused
from weftrun.ports.journal import Journal
from weftrun.ports.transactions import Transactions
from weftrun.testing.contracts.samples import more, start
from weftrun.testing.contracts.transactions import TransactionContract


class TestSqliteTransactions(TransactionContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> Callable[[], SqliteJournal]:
        return lambda: SqliteJournal(tmp_path / "app.db", SystemEntropy(), pause, allow_tmpfs=True, patience_s=0.05)

    def transactions_of(self, journal: Journal) -> Transactions:
        assert isinstance(journal, SqliteJournal)
        return SqliteTransactions(journal)

    def test_a_nan_is_not_made_null_without_a_word(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        for parameters in ((float("nan"),), {"x": float("nan")}):
            with pytest.raises(StatementRefused, match="SQLite has no NaN"):
                opened.execute("SELECT ?" if isinstance(parameters, tuple) else "SELECT :x", parameters)
        assert opened.execute("SELECT [:a], `:b`, ?2, ?1 FROM (SELECT 1 AS [:a], 2 AS [:b])", (3, 4)).rows == (
            (1, 2, 4, 3),
        )
        opened.roll_back()

    def test_others_wait_for_the_lock(
        self, connect: Callable[[], SqliteJournal], journal: Journal, transactions: Transactions
    ) -> None:
        other = connect()
        opened = self.begun(transactions)
        assert [info.id for info in other.runs()] == ["run-1"]  # who only reads waits for nobody
        with pytest.raises(JournalBusy):
            other.append([start(2)])
        opened.roll_back()
        other.append([start(2)])
        other.close()

    @pytest.mark.parametrize(
        "sql",
        [
            "CREATE TEMP TABLE record (x)",
            "CREATE TEMP VIEW run AS SELECT 1",
            "CREATE TEMP TRIGGER mine AFTER INSERT ON app BEGIN SELECT 1; END",
            "SELECT * FROM pragma_table_info('app')",
            "SELECT data FROM sqlite_dbpage",
            "UPDATE sqlite_sequence SET seq = 0",
            "CREATE TRIGGER mine AFTER INSERT ON record BEGIN SELECT 1; END",
        ],
    )
    def test_ways_around_are_denied(self, transactions: Transactions, sql: str) -> None:
        opened = self.begun(transactions)
        with pytest.raises(StatementRefused):
            opened.execute(sql, ())
        opened.roll_back()

    def test_a_trigger_reaches_no_further(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("CREATE TRIGGER mine AFTER INSERT ON app BEGIN DELETE FROM record; END", ())
        with pytest.raises(StatementRefused, match="record, which is a table of the Journal"):
            opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        opened.roll_back()

    def test_a_column_may_be_named_like_a_table_of_ours(self, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("CREATE TABLE other (run TEXT, record TEXT)", ())
        opened.execute("CREATE TABLE counted (n INTEGER PRIMARY KEY AUTOINCREMENT)", ())
        opened.execute("INSERT INTO counted DEFAULT VALUES", ())
        assert opened.execute("SELECT run, record FROM other", ()).columns == ("run", "record")
        opened.roll_back()
        assert {"run", "record", "session", "info"} <= journal_tables()

    def test_sqlite_may_end_it_by_itself(self, journal: Journal, transactions: Transactions) -> None:
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        with pytest.raises(JournalError, match="ended the transaction by itself"):
            opened.execute("INSERT OR ROLLBACK INTO app VALUES ('a', 1)", ())
        for go_on in (opened.check, lambda: opened.commit([more(1, 3)], renew=False)):
            with pytest.raises(JournalError, match="ended the transaction"):
                go_on()
        opened.roll_back()
        assert self.items(transactions) == []

    def test_a_long_statement_is_interrupted(self, transactions: Transactions) -> None:
        import threading  # noqa: PLC0415

        opened = self.begun(transactions)
        endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
        timer = threading.Timer(0.2, opened.interrupt)
        timer.start()
        with pytest.raises(StatementRefused, match="interrupt"):
            opened.execute(endless, ())
        opened.roll_back()

    def test_what_the_journal_says_is_not_guarded_afterwards(
        self, journal: Journal, transactions: Transactions
    ) -> None:
        self.begun(transactions).roll_back()
        journal.append([more(1, 3)])
        assert apsw.apsw_version()
