"""Authors' transactions on SQLite (port Transactions): the Journal's one write connection, held for a while.

While one is open it has the write lock of the file, and nothing else may be said over the connection: whoever uses
the Journal waits (`exclusive`). What authors may touch is decided while their statements are prepared.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import apsw

from weftrun.adapters.sql.parameters import check_names, names_wanted
from weftrun.adapters.sql.statement import check_bounds, check_kind, size_of
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SCHEMA, SQL
from weftrun.model.errors import JournalError, StatementRefused, WeftrunError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import Appended
from weftrun.ports.transactions import Parameters, StatementResult, Transaction

_BY_FIRST = {
    apsw.SQLITE_READ: "read",
    apsw.SQLITE_INSERT: "change",
    apsw.SQLITE_UPDATE: "change",
    apsw.SQLITE_DELETE: "change",
    apsw.SQLITE_DROP_TABLE: "drop",
    apsw.SQLITE_DROP_VIEW: "drop",
    apsw.SQLITE_DROP_VTABLE: "drop",
    apsw.SQLITE_ANALYZE: "analyze",
}
_BY_SECOND = {
    apsw.SQLITE_ALTER_TABLE: "alter",
    apsw.SQLITE_CREATE_INDEX: "index",
    apsw.SQLITE_DROP_INDEX: "change",
    apsw.SQLITE_CREATE_TRIGGER: "change",
    apsw.SQLITE_DROP_TRIGGER: "change",
}
_NEVER = {
    apsw.SQLITE_ATTACH: "ATTACH can't be said in a Step's transaction: it is of one file.",
    apsw.SQLITE_DETACH: "DETACH can't be said in a Step's transaction: it is of one file.",
    apsw.SQLITE_PRAGMA: "A PRAGMA can't be said in a Step's transaction: the connection is the Journal's.",
    apsw.SQLITE_TRANSACTION: "A transaction begins with its `with` block and ends with the Step: leave this out.",
    apsw.SQLITE_SAVEPOINT: "SAVEPOINT can't be said in a Step's transaction: each statement has one already.",
}
# A temporary table could hide one of the Journal's from the Journal itself.
_TEMPORARY = frozenset(
    {
        apsw.SQLITE_CREATE_TEMP_TABLE,
        apsw.SQLITE_CREATE_TEMP_VIEW,
        apsw.SQLITE_CREATE_TEMP_TRIGGER,
        apsw.SQLITE_CREATE_TEMP_INDEX,
    }
)
_OF_SQLITE = frozenset({"sqlite_dbpage", "sqlite_sequence"})


@functools.cache
def journal_tables() -> frozenset[str]:
    """Return the names of the Journal's own tables and views, which no author's statement may touch."""
    connection = apsw.Connection(":memory:")
    for script in SCHEMA:
        connection.execute(script)
    names = connection.execute(SQL["tables"]).fetchall()
    connection.close()
    return frozenset(str(name).lower() for (name,) in names)


class _NumberedError(Exception):
    """The parameters of a statement have numbers, by which it does not name them in turn."""


def _check_bound(names: tuple[str | None, ...], parameters: tuple[Any, ...] | dict[str, Any]) -> None:
    """Check what SQLite itself would let pass: names by their place, numbers that are names to it, names too many."""
    if isinstance(parameters, dict):
        if not all(name.isdecimal() for name in parameters):
            check_names([name for name in names if name is not None], parameters)
        return
    words = [name for name in names if name is not None]
    if not all(word.isdecimal() for word in words):
        raise names_wanted(word for word in words if not word.isdecimal())
    if any(name is not None and int(name) != place for place, name in enumerate(names, 1)):
        if None in names:
            raise StatementRefused("A statement has either `?` for its parameters, or `$1`, `$2` and so on.")
        raise _NumberedError


class SqliteTransactions:
    """Opens transactions over the connection of a Journal."""

    exclusive = True

    def __init__(self, journal: SqliteJournal) -> None:
        """Use this Journal's connection."""
        self._journal = journal

    def open(self, *, rows_max: int, bytes_max: int) -> Transaction:
        """Take the write lock, trying as long as the Journal itself would."""
        self._journal.take_lock()
        return SqliteTransaction(self._journal, rows_max, bytes_max)

    def wait_over(self, run: RunUid) -> None:
        """Nothing goes on behind a call: what is unknown is looked up when the file is opened again."""

    def close(self) -> None:
        """The connection is the Journal's."""


class SqliteTransaction:
    """One transaction that has the write lock."""

    def __init__(self, journal: SqliteJournal, rows_max: int, bytes_max: int) -> None:
        self._journal = journal
        self._rows_max = rows_max
        self._bytes_max = bytes_max
        self._guarding = False
        self._denied = ""
        with journal.held("beginning a transaction") as connection:
            self._connection = connection
        connection.authorizer = self._authorize

    # ------------------------------------------------------------------ statements

    def execute(self, sql: str, parameters: Parameters) -> StatementResult:
        """Say one statement; see the port."""
        check_kind(sql)
        connection = self._connection
        self._check_open()
        connection.execute(SQL["save_point"])
        try:
            with self._guarded():
                given = self._told_by_name(sql, parameters)
        except (apsw.Error, TypeError, ValueError, OverflowError, WeftrunError) as error:
            self._check_open(error)
            connection.execute(SQL["back_to_save_point"])
            connection.execute(SQL["release_save_point"])
            raise self._told(error) from None
        connection.execute(SQL["release_save_point"])
        return given

    def _told_by_name(self, sql: str, parameters: Parameters) -> StatementResult:
        values = parameters.values() if isinstance(parameters, Mapping) else parameters
        if any(value != value for value in values):
            raise StatementRefused("SQLite has no NaN, and would keep NULL instead: hand over None, or a text.")
        if isinstance(parameters, Mapping):
            try:
                return self._said(sql, dict(parameters))
            except KeyError as error:
                check_names([str(error.args[0])], parameters)
                raise
        try:
            return self._said(sql, tuple(parameters))
        except _NumberedError:
            numbered = {str(number): value for number, value in enumerate(parameters, 1)}
        try:
            return self._said(sql, numbered)
        except KeyError as error:
            raise StatementRefused(
                f"The statement takes ${error.args[0]}, and {len(numbered)} values were handed over."
            ) from None

    def _said(self, sql: str, parameters: tuple[Any, ...] | dict[str, Any]) -> StatementResult:
        connection = self._connection
        cursor = connection.cursor()
        columns: list[tuple[str, ...]] = []

        def once(cursor: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
            if columns:
                raise StatementRefused("One statement at a time: say the second one by an `execute` of its own.")
            _check_bound(cursor.bindings_names, parameters)
            columns.append(tuple(str(column[0]) for column in cursor.get_description()))
            return True

        cursor.exec_trace = once
        before = connection.total_changes()
        rows: list[Any] = []
        size = 0
        try:
            for row in cursor.execute(sql, parameters, can_cache=False):
                rows.append(row)
                size += size_of(row)
                check_bounds(len(rows), size, self._rows_max, self._bytes_max)
        finally:
            cursor.close(force=True)
        changed = connection.changes() if connection.total_changes() > before else 0
        return StatementResult(tuple(rows), columns[0] if columns else (), changed)

    def _told(self, error: BaseException) -> WeftrunError:
        if isinstance(error, WeftrunError):
            return error
        if self._denied:
            return StatementRefused(self._denied)
        code = ""
        if isinstance(error, apsw.Error):
            code = str(apsw.mapping_extended_result_codes.get(getattr(error, "extendedresult", 0), ""))
            code = code or str(apsw.mapping_result_codes.get(getattr(error, "result", 0), ""))
        return StatementRefused(f"SQLite refused a statement: {error}.", code)

    def _check_open(self, error: BaseException | None = None) -> None:
        """See that SQLite has not ended the transaction by itself, as at a full disk or for ON CONFLICT ROLLBACK."""
        if not self._connection.in_transaction:
            why = f": {error}" if error is not None else ""
            raise JournalError(f"SQLite has ended the transaction by itself{why}. The Attempt can't go on with it.")

    # ------------------------------------------------------------------ what may be touched

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        self._guarding, self._denied = True, ""
        try:
            yield
        finally:
            self._guarding = False

    def _authorize(
        self, operation: int, first: str | None, second: str | None, _database: str | None, _by: str | None
    ) -> int:
        if not self._guarding:
            return int(apsw.SQLITE_OK)
        why = _NEVER.get(operation, "")
        table = first if operation in _BY_FIRST else second if operation in _BY_SECOND else None
        if operation in _TEMPORARY:
            why = "A temporary table or view can't be made in a Step's transaction: the connection is the Journal's."
        elif table is not None and (table.lower() in journal_tables() or table.lower() in _OF_SQLITE):
            verb = (_BY_FIRST | _BY_SECOND)[operation]
            why = f"A statement may not {verb} {table}, which is a table of the Journal itself."
        if not why:
            return int(apsw.SQLITE_OK)
        self._denied = self._denied or why
        return int(apsw.SQLITE_DENY)

    # ------------------------------------------------------------------ its end

    def check(self) -> None:
        """See that SQLite has not ended it by itself."""
        self._check_open()

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows and commit them with what was said; see the port."""
        self._check_open()
        self._connection.authorizer = None
        with self._journal.held("recording with a transaction") as connection:
            appended = self._journal.add(connection, rows, renew=renew)
            if appended.taken or appended.lost:
                self.roll_back()
                return appended
            connection.execute(SQL["commit"])
        self._journal.added(rows, appended)
        return appended

    def roll_back(self) -> None:
        """Undo everything."""
        try:
            self._connection.authorizer = None
            if self._connection.in_transaction:
                self._connection.execute(SQL["roll_back"])
        except apsw.Error:
            # A file that can't be read any more: what is in it is looked up when the Journal is used next.
            self._journal.reopen()
        else:
            self._journal.forget_heads()

    def interrupt(self) -> None:
        """Make a statement that runs end soon."""
        try:
            self._connection.interrupt()
        except apsw.Error:
            pass
