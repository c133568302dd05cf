"""The reading half of the Journal, for engines and for those who only look on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

import apsw

from weftrun.adapters.sql.reading import Bindings, Columns, Reading, rows_of
from weftrun.adapters.sql.rows import blobs_in
from weftrun.adapters.sqlite import connection as connections
from weftrun.adapters.sqlite import filesystem, schema
from weftrun.adapters.sqlite.connection import translated
from weftrun.adapters.sqlite.statements import SCHEMA, SQL
from weftrun.model.errors import JournalError, JournalMissing
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import JournalMeta


class SqliteReading(Reading):
    """What can be asked of a Journal. Subclasses own the connection."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def _connected(self) -> apsw.Connection:
        raise NotImplementedError

    def _rows(self, statement: str, bindings: Bindings = ()) -> Sequence[Columns]:
        with translated(self._path, "reading"):
            return self._connected().execute(SQL[statement], bindings).fetchall()

    def _rows_of(self, statement: str, uids: Sequence[RunUid]) -> Iterable[Columns]:
        return (row for uid in uids for row in self._rows(statement, (self._stored(uid),)))

    @staticmethod
    def _stored(uid: str) -> bytes:
        return bytes.fromhex(uid)

    @staticmethod
    def _hex(stored: bytes) -> str:
        return stored.hex()

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""
        with translated(self._path, "reading"):
            hash_seed = schema.hash_seed_of(self._connected(), self._path)
        return JournalMeta(schema=len(SCHEMA), hash_seed=hash_seed)

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order, none of a deleted one; `JournalCorrupt` names what can't be read."""
        starts = self._rows("load_start", (self._stored(uid),))
        if not starts:
            return []
        key, id, at, born, start = starts[0]
        if start is None:
            return []
        later = cast(Sequence[tuple[int, float, int, bytes]], self._rows("load_records", (key,)))
        return rows_of(uid, id, [(1, at, born, start), *later], str(self._path))

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return rows after a seq; `JournalCorrupt` names what can't be read."""
        stored = cast(
            Sequence[tuple[str, int, float, int, bytes]], self._rows("newer", (self._stored(uid), after, limit))
        )
        later = [(seq, at, epoch, body) for _, seq, at, epoch, body in stored]
        return rows_of(uid, stored[0][0] if stored else "", later, str(self._path), max(after, 1) + 1)

    def record_bytes(self, uid: RunUid) -> int:
        """Return how many bytes the records of a Run have, its start aside."""
        return cast(int, self._rows("record_bytes", (self._stored(uid),))[0][0])

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""
        named: set[str] = set()
        with translated(self._path, "looking for blobs"):
            for (body,) in self._connected().execute(SQL["bodies"]):
                named.update(blobs_in(cast(bytes, body)))
        return named


class SqliteReader(SqliteReading):
    """A Journal opened read-only, beside a running engine or without one.

    Args:
        path: the Journal's file, which must exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._connection: apsw.Connection | None = None
        if not path.exists():
            raise JournalMissing(f"There is no Journal at {path}. Give another path, or run a workflow there first.")
        with translated(path, "opening it to read"):
            filesystem.check(path, allow_tmpfs=True)
            self._connection = connections.open_reader(path)
            try:
                schema.require_current(self._connection, path)
            except BaseException:
                self.close()
                raise

    def _connected(self) -> apsw.Connection:
        if self._connection is None:
            raise JournalError(f"The reader of {self._path} was closed.")
        return self._connection

    def close(self) -> None:
        """Release the file. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
