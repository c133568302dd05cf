"""A Journal that is moved into PostgreSQL: all of its tables in one transaction, read again before it commits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Final

import psycopg

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres import schema
from weftrun.adapters.postgres.statements import SQL
from weftrun.adapters.sql.tables import TABLES, Columns, Digesting, TableDigest
from weftrun.model.errors import JournalBusy, JournalCorrupt, UsageError

_READ_AT_ONCE = 1_000
_UID = ("run", 2)
"""A table, and which of its columns holds a uid: 16 bytes where the Journal was, and a type of its own here."""

_STATEMENTS: Final = {
    "run": ("take_run", "taken_run"),
    "record": ("take_record", "taken_record"),
    "inbox": ("take_inbox", "taken_inbox"),
    "outbox": ("take_outbox", "taken_outbox"),
    "schedule": ("take_schedule", "taken_schedule"),
    "queue_row": ("take_queue_row", "taken_queue_row"),
    "queue_entry": ("take_queue_entry", "taken_queue_entry"),
}
"""The statements that write the tables of `adapters.sql.tables`, and those that read them again."""

Rows = Callable[[str], Iterator[tuple[object, ...]]]
"""Returns the rows of a table where the Journal is."""


class MovingIn:
    """A database into which one Journal is moved, or was; closed at the end of the block.

    Args:
        hash_seed: of the Journal (B4).
    """

    def __init__(self, url: str, hash_seed: int) -> None:
        self._where = connections.connect_text(url)
        self._hash_seed = hash_seed
        self._connection = connections.connect(url, patience_s=5.0, writes=True, plans_for_all=True)
        with contextlib.ExitStack() as opened:
            opened.callback(connections.release, self._connection)
            schema.bring_up_to_date(self._connection, self._where, hash_seed)
            opened.pop_all()

    def __enter__(self) -> MovingIn:
        """Begin nothing."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        connections.release(self._connection)

    def take(self, rows: Rows, numbers: Mapping[str, int], told: Callable[[int], None]) -> dict[str, TableDigest]:
        """Take all rows, or see that they were taken before; return what is here when that is durable.

        Args:
            numbers: the highest that were given where the Journal was, by table.
            told: called with how many rows are here.

        Raises:
            UsageError: another Journal is here.
            JournalBusy: an engine has it open.
            JournalCorrupt: what was written is not what is read again; nothing is here then.
        """
        try:
            with self._connection.transaction():
                self._connection.execute(SQL["take_long"])
                self._connection.execute(SQL["move_alone"])
                ((has_engines, is_used),) = self._connection.execute(SQL["is_used"]).fetchall()
                if has_engines:
                    raise JournalBusy(f"An engine has the Journal at {self._where} open: end it first.")
                if is_used:
                    return self._taken_before(rows)
                self._connection.execute(SQL["take_hash_seed"], {"hash_seed": self._hash_seed})
                sent = self._send(rows, told)
                self._check(sent)
                highest = {table: max(1, numbers.get(table, 0)) for table in ("run", "inbox", "outbox")}
                self._connection.execute(SQL["go_on_from"], highest)
                return sent
        except psycopg.Error as error:
            raise connections.told(error, self._where, "moving a Journal there") from None

    def _send(self, rows: Rows, told: Callable[[int], None]) -> dict[str, TableDigest]:
        sent, count = {}, 0
        for table in TABLES:
            digesting = Digesting()
            with self._connection.cursor() as cursor, cursor.copy(SQL[_STATEMENTS[table][0]]) as copy:
                for columns in digesting.of(rows(table)):
                    copy.write_row(_typed(table, columns))
                    count += 1
                    if count % _READ_AT_ONCE == 0:
                        told(count)
            sent[table] = digesting.digest
        told(count)
        return sent

    def _check(self, wanted: Mapping[str, TableDigest]) -> None:
        for table, digest in wanted.items():
            if (found := self._digest(table)) != digest:
                raise JournalCorrupt(
                    f"{self._where} gives {found.rows} rows of {table} that are not the {digest.rows} that were written"
                    " there. Nothing was moved: look at the server, and try again."
                )

    def _digest(self, table: str) -> TableDigest:
        digesting = Digesting()
        with contextlib.closing(self._connection.cursor(f"moved_{table}")) as cursor:
            cursor.itersize = _READ_AT_ONCE
            cursor.execute(SQL[_STATEMENTS[table][1]])
            for _ in digesting.of(cursor):
                pass
        return digesting.digest

    def _taken_before(self, rows: Rows) -> dict[str, TableDigest]:
        """Return what is here if it is this very Journal: the move was cut off between its last two steps."""
        here = {}
        for table in TABLES:
            digesting = Digesting()
            for _ in digesting.of(rows(table)):
                pass
            here[table] = digesting.digest
            if self._digest(table) != digesting.digest:
                raise UsageError(
                    f"There is another Journal at {self._where}, or one that engines have used since it was moved "
                    "there: name an empty database."
                )
        return here


def _typed(table: str, columns: Columns) -> Columns:
    """Return a row as this database reads it."""
    if table != _UID[0]:
        return columns
    at, uid = _UID[1], columns[_UID[1]]
    assert isinstance(uid, bytes)
    return (*columns[:at], uid.hex(), *columns[at + 1 :])
