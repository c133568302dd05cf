"""Authors' transactions on PostgreSQL (port Transactions): a connection of its own for each, beside the Journal's.

Nothing is locked before an author's first statement: the Run's row is locked and its epoch looked at by `append`, the
last statement before COMMIT. So an engine that stops in the middle keeps nobody from taking its Runs over, and what
the Run's other Steps record meanwhile waits for nobody. What authors touched is told by the locks that they took.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import RawCursor, errors
from psycopg.pq import TransactionStatus
from psycopg.types.string import TextLoader

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres.connection import Connection
from weftrun.adapters.postgres.journal import PostgresJournal, append_statement, left_out
from weftrun.adapters.postgres.statements import SQL
from weftrun.adapters.sql.parameters import for_postgresql
from weftrun.adapters.sql.statement import check_bounds, check_kind, is_query, size_of
from weftrun.model.errors import (
    CommitUnknown,
    JournalBusy,
    JournalError,
    StatementRefused,
    WeftrunError,
)
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.ports.transactions import Parameters, StatementResult, Transaction, TransactionLost

IDLE_S = 60
"""The server ends a transaction in which nothing was said for so long: its engine may be frozen, holding locks."""

# All other types come as PostgreSQL writes them.
_AS_THEY_ARE = frozenset(
    [
        "bool",
        "int2",
        "int4",
        "int8",
        "oid",
        "float4",
        "float8",
        "text",
        "varchar",
        "bpchar",
        "name",
        "bytea",
        "unknown",
        "char",
    ]
)


class PostgresTransactions:
    """Opens transactions in the database of a Journal, and keeps connections for the next ones."""

    exclusive = False

    def __init__(self, journal: PostgresJournal) -> None:
        """Connect to where this Journal is, as the same user."""
        self.journal = journal
        self._idle: deque[Connection] = deque()
        self._closed = False

    def open(self, *, rows_max: int, bytes_max: int) -> Transaction:
        """Begin one over a connection that is idle, or a new one."""
        for _ in range(len(self._idle) + 1):
            connection = self._idle.popleft() if self._idle else self._connected()
            try:
                connection.execute(SQL["begin"])
                return PostgresTransaction(self, connection, rows_max, bytes_max)
            except psycopg.Error as error:
                connections.release(connection)
                if not isinstance(error, psycopg.OperationalError):
                    raise self._told(error, "beginning a transaction") from None
                # The server ended it while it was idle.
        raise JournalBusy(f"No connection to {self.journal.where} holds. Look whether the server is up.")

    def _connected(self) -> Connection:
        try:
            connection = connections.connect(
                self.journal.url, patience_s=self.journal.patience_s, writes=True, plans_for_all=True, idle_s=IDLE_S
            )
        except JournalError as error:
            if connections.is_full(error):
                raise  # and may be so for ever
            # The Journal itself waits for its server to come back.
            raise JournalBusy(f"{error} The transaction begins when that is mended.") from None
        for known in psycopg.adapters.types:
            if known.name not in _AS_THEY_ARE:
                connection.adapters.register_loader(known.oid, TextLoader)
            if known.array_oid:
                connection.adapters.register_loader(known.array_oid, TextLoader)
        return connection

    def give_back(self, connection: Connection) -> None:
        """Keep a connection for the next one, as it was when it was new."""
        try:
            connection.execute(SQL["forget_all"])
            connections.set_up(connection, self.journal.patience_s, writes=True, plans_for_all=True, idle_s=IDLE_S)
        except psycopg.Error:
            connections.release(connection)
            return
        if self._closed:
            connections.release(connection)
        else:
            self._idle.append(connection)

    def wait_over(self, run: RunUid) -> None:
        """Wait for the lock on the Run's row: who has appended to it holds that until it is committed or is not."""
        connection = self._connected()
        try:
            connection.execute(SQL["lock_run"], (run,))
        except psycopg.Error as error:
            raise self._told(error, "waiting for a transaction") from None
        finally:
            connections.release(connection)

    def _told(self, error: psycopg.Error, doing: str) -> WeftrunError:
        return connections.told(error, self.journal.where, doing, CommitUnknown)

    def close(self) -> None:
        """Release idle connections. Idempotent."""
        self._closed = True
        while self._idle:
            connections.release(self._idle.popleft())


class PostgresTransaction:
    """One transaction, over a connection that it has alone."""

    def __init__(self, owner: PostgresTransactions, connection: Connection, rows_max: int, bytes_max: int) -> None:
        self._owner = owner
        self._connection = connection
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._is_over = False
        self._interrupted = False
        self._of_journal: dict[int, str] = dict(connection.execute(SQL["relations"]).fetchall())

    # ------------------------------------------------------------------ statements

    def execute(self, sql: str, parameters: Parameters) -> StatementResult:
        """Say one statement; see the port."""
        check_kind(sql)
        connection = self._connection
        self._check_open()
        try:
            connection.execute(SQL["save_point"])
            try:
                given = self._said(connection, sql, parameters)
                touched = connection.execute(SQL["touched"], (list(self._of_journal),)).fetchall()
                if touched:
                    name = self._of_journal[touched[0][0]]
                    raise StatementRefused(f"A statement may not touch {name}, which is of the Journal itself.")
            except (psycopg.Error, WeftrunError) as error:
                if connections.is_lost(connection):
                    raise
                self._check_open()
                connection.execute(SQL["back_to_save_point"])
                connection.execute(SQL["release_save_point"])
                raise _refused(error) from None
            connection.execute(SQL["release_save_point"])
        except psycopg.Error as error:
            raise self._gone(error) from None
        return given

    def _said(self, connection: Connection, sql: str, parameters: Parameters) -> StatementResult:
        cursor: RawCursor[tuple[Any, ...]] = RawCursor(connection)
        changed, values = for_postgresql(sql, parameters)
        text = changed.encode()
        rows: list[tuple[Any, ...]] = []
        if is_query(sql):
            size = 0
            try:
                for row in cursor.stream(text, values):
                    size = self._counted(rows, row, size)
            except psycopg.ProgrammingError as error:
                if error.sqlstate is not None:
                    raise
                return StatementResult()  # SELECT INTO: the driver wants rows of whatever it streams
            return StatementResult(tuple(rows), _columns(cursor))
        # In a pipeline the driver uses the extended protocol, which takes one statement at a time.
        with connection.pipeline():
            cursor.execute(text, values)
        if cursor.description is None:
            return StatementResult((), (), max(cursor.rowcount, 0))
        size = 0
        for row in cursor:
            size = self._counted(rows, row, size)
        return StatementResult(tuple(rows), _columns(cursor), max(cursor.rowcount, 0))

    def _counted(self, rows: list[tuple[Any, ...]], row: tuple[Any, ...], size: int) -> int:
        rows.append(row)
        size += size_of(row)
        check_bounds(len(rows), size, self._rows_max, self._bytes_max)
        return size

    def _check_open(self) -> None:
        status = self._connection.info.transaction_status
        if connections.is_lost(self._connection) or status is TransactionStatus.IDLE:
            raise JournalError("The server has ended the transaction. The Attempt can't go on with it.")

    def _gone(self, error: psycopg.Error) -> JournalError:
        # Whose body says nothing for a minute would do so again.
        kind = JournalError if isinstance(error, errors.IdleInTransactionSessionTimeout) else TransactionLost
        return kind(f"The transaction is lost: {connections.said_by(error)}. Nothing of it was committed.")

    # ------------------------------------------------------------------ its end

    def check(self) -> None:
        """Have constraints checked that wait for the end; `StatementRefused` where one does not hold."""
        self._check_open()
        try:
            self._connection.execute(SQL["check_constraints"])
        except psycopg.Error as error:
            if connections.is_lost(self._connection):
                raise self._gone(error) from None
            raise _refused(error) from None

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows and commit them with what was said; see the port."""
        self._check_open()
        connection = self._connection
        try:
            connection.execute(SQL["plan_by_key"], {"local": True})
            statement, bound = append_statement(self._owner.journal.session, rows, renew=renew)
            found = connection.execute(SQL[statement], bound, binary=True).fetchall()
        except psycopg.Error as error:
            self.roll_back()
            raise connections.told(error, self._owner.journal.where, "recording with a transaction") from None
        appended = left_out(found)
        if appended.taken or appended.lost:
            self.roll_back()
            return appended
        try:
            connection.execute(SQL["commit"])
        except psycopg.Error as error:
            self._end(keep=False)
            raise connections.told(error, self._owner.journal.where, "committing", CommitUnknown) from None
        self._end(keep=True)
        return appended

    def roll_back(self) -> None:
        """Undo everything; a connection that is lost has done so already."""
        try:
            self._connection.execute(SQL["roll_back"])
        except psycopg.Error:
            self._end(keep=False)
        else:
            self._end(keep=True)

    def _end(self, *, keep: bool) -> None:
        with self._lock:
            if self._is_over:
                return
            self._is_over = True
            keep = keep and not self._interrupted  # a word to end a statement may still be on its way to the server
        if keep and not connections.is_lost(self._connection):
            self._owner.give_back(self._connection)
        else:
            connections.release(self._connection)

    def interrupt(self) -> None:
        """Ask the server to end the statement that runs."""
        with self._lock:
            if self._is_over:
                return
            self._interrupted = True
        try:
            self._connection.cancel_safe(timeout=5.0)
        except (psycopg.Error, OSError):
            pass  # then it ends by its connection's


def _columns(cursor: RawCursor[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(column.name for column in cursor.description or ())


def _refused(error: Exception) -> WeftrunError:
    """Return what a body is told of a statement that the server, or a rule of ours, refused."""
    if isinstance(error, WeftrunError):
        return error
    assert isinstance(error, psycopg.Error)
    if error.sqlstate is None:
        return StatementRefused(f"The statement can't be said: {connections.said_by(error)}.")
    detail = " ".join((error.diag.message_detail or "").split())
    sentence = f"PostgreSQL refused a statement: {connections.said_by(error)}.{' ' + detail if detail else ''}"
    return StatementRefused(sentence, error.sqlstate)
