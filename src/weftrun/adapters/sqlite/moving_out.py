"""A Journal in SQLite that is moved to another database: what is in it, and that nobody opens it any more."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from weftrun.adapters.sqlite import connection as connections
from weftrun.adapters.sqlite import schema
from weftrun.adapters.sqlite.connection import AllOrNothing, WriteTurn, translated
from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SQL
from weftrun.ports.entropy import Entropy

_ROWS: Final = {
    "run": "leave_run",
    "record": "leave_record",
    "inbox": "leave_inbox",
    "outbox": "leave_outbox",
    "schedule": "leave_schedule",
    "queue_row": "leave_queue_row",
    "queue_entry": "leave_queue_entry",
}
"""The statements that read the tables of `adapters.sql.tables`."""


class MovingOut:
    """Holds the write lock of a Journal's file until it is closed, so that nothing is added meanwhile.

    Raises:
        JournalError: there is no Journal, it is newer or damaged, or was moved before.
        JournalBusy: another process holds the lock.
    """

    def __init__(self, path: Path, entropy: Entropy, pause: Callable[[float], None]) -> None:
        self._path = path
        turn = WriteTurn(entropy, pause, 5.0)
        SqliteJournal(path, entropy, pause, create=False, allow_tmpfs=True).close()  # which brings it up to date
        with translated(path, "opening it to be moved"), contextlib.ExitStack() as opened:
            self._connection = connections.open_writer(path, create=False, vfs=None)
            opened.callback(connections.release, self._connection)
            connections.set_durable(self._connection, turn)
            connections.begin(self._connection, turn)
            schema.require_current(self._connection, path)
            self.hash_seed = schema.hash_seed_of(self._connection, path)
            opened.pop_all()

    def rows(self, table: str) -> Iterator[tuple[object, ...]]:
        """Yield all rows of a table that is moved, in order."""
        with translated(self._path, "reading"):
            yield from self._connection.execute(SQL[_ROWS[table]])

    def numbers(self) -> dict[str, int]:
        """Return the highest numbers that were given, by table; nothing where none was."""
        with translated(self._path, "reading"):
            found = self._connection.execute(SQL["leave_numbers"]).fetchall()
        return {str(name): highest for name, highest in found if isinstance(highest, int)}

    def moved(self, place: str) -> None:
        """Let nobody open the file from now on, and tell who tries where the Journal is."""
        with AllOrNothing(self._connection, self._path, "noting that it was moved"):
            self._connection.execute(SQL["make_moved"])
            self._connection.execute(SQL["moved_to"], (place,))
            self._connection.pragma("application_id", schema.MOVED_ID)
            self._connection.execute(SQL["commit"])

    def close(self) -> None:
        """Free the file. Idempotent."""
        connections.release(self._connection)
