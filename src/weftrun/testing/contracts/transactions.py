"""The contract of the port Transactions: statements that commit with rows of a Run, or not at all (T1)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weftrun.model.errors import InternalError, LeaseLost, LimitExceeded, StatementRefused
from weftrun.ports.journal import Appended, Journal
from weftrun.ports.transactions import Parameters, Transaction, Transactions
from weftrun.testing.contracts.samples import end, more, start, uid
from weftrun.testing.contracts.sessions import Connect, session

JOURNALS_OWN = (
    "SELECT * FROM {s}record",
    "SELECT (SELECT count(*) FROM {s}run)",
    "INSERT INTO {s}inbox (id, run, kind) VALUES ('x', 1, 'cancel')",
    "UPDATE {s}run SET status = 'failed'",
    "DELETE FROM {s}session",
    "DROP TABLE {s}record",
    "ALTER TABLE {s}run ADD COLUMN mine INTEGER",
    "CREATE INDEX mine ON {s}run (status)",
    "SELECT * FROM {s}info",
)
NOT_OF_TABLES = (
    "COMMIT",
    "rollback",
    "/* now */ COMMIT",
    "-- now\nEND",
    "; COMMIT",
    "/* /* */ select */ COMMIT",
    "BEGIN",
    "SAVEPOINT mine",
    "RELEASE weftrun_statement",
    "PRAGMA user_version = 7",
    "ATTACH 'other.db' AS other",
    "SET search_path TO weftrun",
    "DISCARD ALL",
    "",
)


class TransactionContract:
    """Subclasses give the fixtures `connect`, as sessions have it, and `transactions`, for a Journal.

    `schema` is what stands before the names of the Journal's tables.
    """

    schema = ""

    @pytest.fixture
    def connect(self) -> Connect:
        """Return what opens the Journal under test, each time beside those that are open."""
        raise NotImplementedError

    def transactions_of(self, journal: Journal) -> Transactions:
        """Return what opens transactions in the database of a Journal."""
        raise NotImplementedError

    @pytest.fixture
    def journal(self, connect: Connect) -> Iterator[Journal]:
        """Return a Journal with a session, in which Run 1 was started."""
        journal = connect()
        journal.begin(session(1))
        journal.append([start(1)])
        yield journal
        journal.close()

    @pytest.fixture
    def transactions(self, journal: Journal) -> Iterator[Transactions]:
        """Return what opens transactions beside this Journal; a table `app` is there, and empty."""
        transactions = self.transactions_of(journal)
        opened = transactions.open(rows_max=10, bytes_max=1_000)
        opened.execute("DROP TABLE IF EXISTS app", ())
        opened.execute("CREATE TABLE app (item TEXT PRIMARY KEY, amount INTEGER)", ())
        opened.check()
        assert opened.commit([more(1, 2)], renew=False) == Appended()
        yield transactions
        transactions.close()

    def begun(self, transactions: Transactions) -> Transaction:
        """Return an open transaction."""
        return transactions.open(rows_max=10, bytes_max=1_000)

    def items(self, transactions: Transactions) -> list[object]:
        """Return what is in the table `app`, as somebody sees it who comes later."""
        looking = self.begun(transactions)
        try:
            return [row[0] for row in looking.execute("SELECT item FROM app ORDER BY item", ()).rows]
        finally:
            looking.roll_back()

    def test_both_or_neither(self, journal: Journal, transactions: Transactions) -> None:
        """What was said is there exactly if the rows are."""
        kept, undone = self.begun(transactions), None
        assert kept.execute("INSERT INTO app VALUES (?, ?)", ("a", 1)).changed == 1
        kept.check()
        assert kept.commit([more(1, 3)], renew=True) == Appended()
        undone = self.begun(transactions)
        undone.execute("INSERT INTO app VALUES (?, ?)", ("b", 2))
        undone.roll_back()
        assert self.items(transactions) == ["a"]
        assert [row.seq for row in journal.load(uid(1))] == [1, 2, 3]
        journal.append([end(1, 4)])

    def test_values_come_as_they_went(self, transactions: Transactions) -> None:
        """Texts, bytes, numbers of 64 bits and nothing."""
        opened = self.begun(transactions)
        values = ("ü ?", 2**63 - 1)
        opened.execute("INSERT INTO app (item) VALUES (?)", values[:1])
        given = opened.execute("SELECT item AS it, amount, '?' AS mark FROM app WHERE item = ?", values[:1])
        assert given.rows == (("ü ?", None, "?"),)
        assert given.columns == ("it", "amount", "mark")
        kinds = opened.execute(
            "SELECT CAST(? AS BIGINT), CAST(? AS DOUBLE PRECISION), CAST(? AS TEXT)", (2**62, 0.5, "x")
        )
        assert kinds.rows == ((2**62, 0.5, "x"),)
        opened.roll_back()

    def test_parameters_have_places_numbers_or_names(self, transactions: Transactions) -> None:
        """By name in any order and as often as one likes; what stands in texts, names and comments is none."""
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES (:key, :val)", {"val": 5, "key": "a"})
        opened.execute("INSERT INTO app VALUES ($2, $1)", (6, "b"))
        assert opened.execute("SELECT item, amount FROM app ORDER BY item", ()).rows == (("a", 5), ("b", 6))
        twice = "SELECT item FROM app WHERE amount = :n OR amount = :n + 1 ORDER BY item"
        assert opened.execute(twice, {"n": 5}).rows == (("a",), ("b",))
        grouped = "SELECT amount + CAST(:n AS INTEGER) FROM app GROUP BY amount + CAST(:n AS INTEGER) ORDER BY 1"
        assert opened.execute(grouped, {"n": 1}).rows == ((6,), (7,))
        marks = """SELECT 'it''s :a ? $1 %s', amount AS ":b?", /* :c ? */ item -- :d $2
            FROM app WHERE item = :item"""
        assert opened.execute(marks, {"item": "a"}).rows == (("it's :a ? $1 %s", 5, "a"),)
        for_places = """SELECT 'it''s :a ? $1 %s', amount AS ":b?", /* :c ? */ item -- :d $2
            FROM app WHERE item = ?"""
        assert opened.execute(for_places, ("a",)).rows == (("it's :a ? $1 %s", 5, "a"),)
        opened.roll_back()

    @pytest.mark.parametrize(
        ("sql", "parameters", "text"),
        [
            ("INSERT INTO app VALUES (:key, :val)", {"key": "a"}, "takes :val, and no value of that name"),
            ("INSERT INTO app VALUES (:key, 1)", {"key": "a", "vale": 1}, "handed over for :vale, which is not in the"),
            ("INSERT INTO app VALUES ('a', 1)", {"key": "a"}, "handed over for :key"),
            ("INSERT INTO app VALUES (?, ?)", {"key": "a", "val": 1}, ""),
            ("INSERT INTO app VALUES (:key, ?)", {"key": "a"}, ""),
            ("INSERT INTO app VALUES (:key, ?)", ("a", 1), ""),
            ("INSERT INTO app VALUES (:key, :val)", ("a", 1), "names its parameters (:key, :val): hand over a dict"),
            ("INSERT INTO app VALUES (?, $1)", ("a", 1), ""),
            ("INSERT INTO app VALUES ($1, $3)", ("a", 1), ""),
            ("INSERT INTO app VALUES (%s, %s)", ("a", 1), ""),
            ("INSERT INTO app VALUES (?, ?)", ("a",), ""),
            ("INSERT INTO app VALUES (?, ?)", ("a", 1, 2), ""),
            ("INSERT INTO app VALUES (':key', 1)", {"key": "a"}, "handed over for :key"),
        ],
    )
    def test_parameters_that_do_not_fit_are_refused(
        self, transactions: Transactions, sql: str, parameters: Parameters, text: str
    ) -> None:
        """Nothing is added, and the transaction goes on."""
        opened = self.begun(transactions)
        with pytest.raises(StatementRefused) as refused:
            opened.execute(sql, parameters)
        assert text in str(refused.value)
        assert opened.execute("SELECT count(*) FROM app", ()).rows == ((0,),)
        opened.roll_back()

    def test_a_refused_statement_leaves_the_transaction(self, transactions: Transactions) -> None:
        """It is as it was before the statement."""
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES (?, ?)", ("a", 1))
        with pytest.raises(StatementRefused) as refused:
            opened.execute("INSERT INTO app VALUES (?, ?), (?, ?)", ("b", 1, "a", 1))
        assert refused.value.code in ("23505", "SQLITE_CONSTRAINT_PRIMARYKEY")
        for wrong, given in (("SELEC 1", ()), ("SELECT nothing FROM app", ()), ("SELECT ?", ()), ("SELECT 1", (1,))):
            with pytest.raises(StatementRefused):
                opened.execute(wrong, given)
        with pytest.raises(StatementRefused):
            opened.execute("INSERT INTO app VALUES (?, ?)", ("c", [1]))
        opened.execute("INSERT INTO app VALUES (?, ?)", ("d", 1))
        opened.check()
        opened.commit([more(1, 3)], renew=False)
        assert self.items(transactions) == ["a", "d"]

    def test_one_statement_at_a_time(self, transactions: Transactions) -> None:
        """A second one in the same text is refused with the first."""
        opened = self.begun(transactions)
        for both in ("INSERT INTO app VALUES ('a', 1); INSERT INTO app VALUES ('b', 1)", "SELECT 1; SELECT 2"):
            with pytest.raises(StatementRefused):
                opened.execute(both, ())
        assert opened.execute("SELECT count(*) FROM app", ()).rows == ((0,),)
        opened.roll_back()

    def test_what_is_given_is_bounded(self, transactions: Transactions) -> None:
        """Rows and bytes over the bound: the statement is undone, the transaction goes on."""
        opened = self.begun(transactions)
        for n in range(11):
            opened.execute("INSERT INTO app VALUES (?, ?)", (f"{n:02}", n))
        with pytest.raises(LimitExceeded, match="transaction_rows_max"):
            opened.execute("SELECT * FROM app", ())
        with pytest.raises(LimitExceeded, match="transaction_rows_max"):
            opened.execute("UPDATE app SET amount = 7 RETURNING item", ())
        with pytest.raises(LimitExceeded, match="transaction_bytes_max"):
            opened.execute("SELECT ?", ("x" * 1_001,))
        assert opened.execute("SELECT count(*) FROM app WHERE amount = 7 AND item < '07'", ()).rows == ((0,),)
        assert len(opened.execute("SELECT * FROM app LIMIT 10", ()).rows) == 10
        opened.roll_back()

    @pytest.mark.parametrize("sql", JOURNALS_OWN)
    def test_the_journals_own_tables_are_denied(self, journal: Journal, transactions: Transactions, sql: str) -> None:
        """Reading is, too. The statement is undone, and what was said before stands."""
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        with pytest.raises(StatementRefused, match="Journal itself"):
            opened.execute(sql.format(s=self.schema), ())
        opened.check()
        assert opened.commit([more(1, 3)], renew=False) == Appended()
        assert len(journal.load(uid(1))) == 3
        assert self.items(transactions) == ["a"]

    @pytest.mark.parametrize("sql", NOT_OF_TABLES)
    def test_what_is_not_of_tables_is_denied(self, transactions: Transactions, sql: str) -> None:
        """The transaction's own end above all."""
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        with pytest.raises(StatementRefused):
            opened.execute(sql, ())
        opened.roll_back()
        assert self.items(transactions) == []

    def test_a_lost_run_commits_nothing(self, connect: Connect, journal: Journal, transactions: Transactions) -> None:
        """Another engine has it: the rows are left out, and so is what was said (O2)."""
        journal.put_back([uid(1)])
        other = connect()
        other.begin(session(2))
        assert [info.epoch for info in other.claim([uid(1)])] == [2]
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        opened.check()
        assert opened.commit([more(1, 3)], renew=False) == Appended(lost=frozenset({uid(1)}))
        assert self.items(transactions) == []
        assert len(other.load(uid(1))) == 2
        other.close()

    def test_a_lost_session_commits_nothing(self, connect: Connect, transactions: Transactions) -> None:
        """Whether that is told at the beginning or at the end."""
        other = connect()
        assert other.declare_dead(next(s for s in other.sessions() if s.uid == session(1).uid))

        def whole() -> None:
            opened = self.begun(transactions)
            opened.execute("INSERT INTO app VALUES ('a', 1)", ())
            opened.check()
            opened.commit([more(1, 3)], renew=False)

        with pytest.raises(LeaseLost):
            whole()
        assert len(other.load(uid(1))) == 2
        other.begin(session(2))
        beside = self.transactions_of(other)
        assert self.items(beside) == []
        beside.close()
        other.close()

    def test_rows_that_can_not_be_added_commit_nothing(self, journal: Journal, transactions: Transactions) -> None:
        """A gap in the rows is a bug of ours; the statements are undone with it."""
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        with pytest.raises(InternalError):
            opened.commit([more(1, 5)], renew=False)
        assert self.items(transactions) == []
        assert journal.append([more(1, 3)]) == Appended()

    def test_rows_that_are_there_are_passed_over(self, journal: Journal, transactions: Transactions) -> None:
        """Rows of the Run that went before may come again with the one that counts."""
        journal.append([more(1, 3)])
        opened = self.begun(transactions)
        opened.execute("INSERT INTO app VALUES ('a', 1)", ())
        assert opened.commit([more(1, 3), end(1, 4)], renew=False) == Appended()
        assert self.items(transactions) == ["a"]
        info = journal.infos([uid(1)])[0]
        assert (info.status, info.ended_at is None) == ("succeeded", False)

    def test_what_is_unknown_is_over(self, journal: Journal, transactions: Transactions) -> None:
        """With nothing under way it returns at once."""
        transactions.wait_over(uid(1))
        assert len(journal.load(uid(1))) == 2
