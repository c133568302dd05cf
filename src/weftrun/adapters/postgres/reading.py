"""The reading half of the Journal, for engines and for those who only look on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import psycopg

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres import schema
from weftrun.adapters.postgres.connection import Connection, connect_text, is_lost, told
from weftrun.adapters.postgres.statements import SCHEMA, SQL
from weftrun.adapters.sql.reading import Bindings, Columns, Reading, rows_of
from weftrun.adapters.sql.rows import blobs_in
from weftrun.model.errors import JournalError
from weftrun.model.ids import RunUid
from weftrun.model.records import Row
from weftrun.ports.journal import JournalMeta


class Uuid(Protocol):
    """How the driver gives a `uuid`."""

    @property
    def hex(self) -> str:
        """Return 32 hexadecimal digits."""


class PostgresReading(Reading):
    """What can be asked of a Journal. Subclasses own the connection."""

    _lost: type[JournalError] = JournalError

    def __init__(self, url: str) -> None:
        self._url = url
        self._where = connect_text(url)
        self._connection: Connection | None = None

    def _connected(self) -> Connection:
        raise NotImplementedError

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connections.release(connection)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Raise errors of this project instead of the driver's, and release a connection that is lost."""
        try:
            yield
        except psycopg.Error as error:
            if self._connection is not None and is_lost(self._connection):
                self._drop()
            raise told(error, self._where, doing, self._lost) from None

    def _asked(self, statement: str, bindings: Bindings = ()) -> list[Columns]:
        """Return what a statement that changes nothing finds; where the connection was lost, over a new one."""
        if self._connection is not None:
            try:
                return self._found(self._connection, statement, bindings)
            except psycopg.OperationalError:
                if not is_lost(self._connection):
                    raise
                self._drop()
        return self._found(self._connected(), statement, bindings)

    @staticmethod
    def _found(connection: Connection, statement: str, bindings: Bindings) -> list[Columns]:
        return connection.execute(SQL[statement], bindings, binary=True).fetchall()

    def _rows(self, statement: str, bindings: Bindings = ()) -> Sequence[Columns]:
        with self._translated("reading"):
            return self._asked(statement, bindings)

    def _rows_of(self, statement: str, uids: Sequence[RunUid]) -> Iterable[Columns]:
        return self._rows(statement, (list(uids),))

    @staticmethod
    def _stored(uid: str) -> str:
        return uid

    @staticmethod
    def _hex(stored: Uuid) -> str:
        return stored.hex

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""
        with self._translated("reading"):
            _, hash_seed = schema.meta_of(self._connected(), self._where)
        return JournalMeta(schema=len(SCHEMA), hash_seed=hash_seed)

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order, none of a deleted one; `JournalCorrupt` names what can't be read."""
        stored = self._rows("load", {"uid": uid})
        if not stored or stored[0][-1] is None:
            return []
        return rows_of(uid, stored[0][0], ((seq, at, epoch, body) for _, seq, at, epoch, body in stored), self._where)

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return rows after a seq; `JournalCorrupt` names what can't be read."""
        stored = self._rows("newer", {"uid": uid, "after": after, "limit": limit})
        later = [(seq, at, epoch, body) for _, seq, at, epoch, body in stored]
        return rows_of(uid, stored[0][0] if stored else "", later, self._where, max(after, 1) + 1)

    def record_bytes(self, uid: RunUid) -> int:
        """Return how many bytes the records of a Run have, its start aside."""
        return int(self._rows("record_bytes", {"uid": uid})[0][0])

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""
        named: set[str] = set()
        with self._translated("looking for blobs"), self._connected().cursor(binary=True) as cursor:
            # Row by row: all bodies together may be larger than the memory.
            for (body,) in cursor.stream(SQL["bodies"]):
                named.update(blobs_in(body))
        return named


class PostgresReader(PostgresReading):
    """A Journal opened read-only, beside running engines or without one; on a standby, too.

    Args:
        url: `postgresql://user:password@host:port/database`, and what libpq takes more.
        patience_s: how long to wait for a lock before `JournalBusy`, in seconds.
    """

    def __init__(self, url: str, *, patience_s: float = 5.0) -> None:
        super().__init__(url)
        self._patience_s = patience_s
        self._closed = False
        self._connected()

    def _connected(self) -> Connection:
        if self._closed:
            raise JournalError(f"The reader of {self._where} was closed.")
        if self._connection is None:
            self._connection = connections.connect(self._url, patience_s=self._patience_s, writes=False)
            try:
                schema.require_current(self._connection, self._where)
            except BaseException:
                self._drop()
                raise
        return self._connection

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        self._drop()
