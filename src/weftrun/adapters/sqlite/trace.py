"""The trace on SQLite (port Trace): a file of its own, never synced, bounded; the oldest rows make room.

Nobody's correctness rests on it, so its faults never reach a Run: they are told once, and the row is lost.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import apsw
import msgspec

from weftrun.adapters.sql.statements import read_statements
from weftrun.model.ids import RunUid
from weftrun.ports.trace import TraceRow

TRACE = read_statements(__package__, "trace.sql")
PAGE_BYTES = 4096
# Beside the writer's short transactions a reader in another process is the only one who ever locks the file.
BUSY_MS = 200

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TraceRow).decode


class SqliteTrace:
    """Rows in a file beside the Journal.

    Args:
        path: of the file, in a folder that exists.
        writable: False to look on beside a running engine; then a missing file is an empty one, and nothing is made.
        file_bytes_max: the file grows no further; the older half of the rows goes then.
    """

    def __init__(self, path: Path, *, writable: bool = True, file_bytes_max: int = 256 * 1024 * 1024) -> None:
        self._path = path
        self._warned = False
        self._connection: apsw.Connection | None = None
        try:
            self._connection = self._make(file_bytes_max) if writable else self._open(apsw.SQLITE_OPEN_READONLY)
        except (apsw.NotADBError, apsw.CorruptError):
            if writable:
                self._connection = self._make_anew(file_bytes_max)
        except apsw.Error as error:
            if writable:
                self._warn(error)

    def _open(self, flags: int) -> apsw.Connection:
        connection = apsw.Connection(str(self._path), flags=flags)
        connection.set_busy_timeout(BUSY_MS)
        return connection

    def _make(self, file_bytes_max: int) -> apsw.Connection:
        connection = self._open(apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
        try:
            connection.pragma("journal_mode", "wal")
            connection.pragma("synchronous", "off")
            connection.execute(TRACE["make"])
            connection.execute(TRACE["index"])
            connection.pragma("max_page_count", max(file_bytes_max // PAGE_BYTES, 16))
        except apsw.Error:
            connection.close(force=True)
            raise
        return connection

    def _make_anew(self, file_bytes_max: int) -> apsw.Connection | None:
        """Replace a file that a crash of the host has damaged: it was never synced."""
        for suffix in ("", "-wal", "-shm"):
            self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
        try:
            return self._make(file_bytes_max)
        except apsw.Error as error:
            self._warn(error)
            return None

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows."""
        bindings = [(bytes.fromhex(row.run), _encode(row)) for row in rows]
        if self._connection is None or not bindings:
            return
        try:
            try:
                self._write(self._connection, bindings)
            except apsw.FullError:
                self._connection.execute(TRACE["drop_oldest"])
                self._write(self._connection, bindings)
        except apsw.Error as error:
            self._warn(error)

    def _write(self, connection: apsw.Connection, bindings: Sequence[tuple[bytes, bytes]]) -> None:
        connection.execute(TRACE["begin"])
        try:
            connection.executemany(TRACE["write"], bindings)
            connection.execute(TRACE["commit"])
        except apsw.Error:
            if connection.in_transaction:
                connection.execute(TRACE["roll_back"])
            raise

    def read(self, run: RunUid) -> list[TraceRow]:
        """Return the rows of a Run in order of writing; those that can't be read are left out."""
        if self._connection is None:
            return []
        rows: list[TraceRow] = []
        try:
            for (body,) in self._connection.execute(TRACE["read"], (bytes.fromhex(run),)):
                rows.append(_decode(cast(bytes, body)))
        except (apsw.Error, msgspec.MsgspecError) as error:
            self._warn(error)
        return rows

    def delete(self, run: RunUid) -> None:
        """Forget the rows of a Run."""
        if self._connection is None:
            return
        try:
            self._connection.execute(TRACE["delete"], (bytes.fromhex(run),))
        except apsw.Error as error:
            self._warn(error)

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(force=True)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"The trace {self._path} can't be kept or read: {error}.", UserWarning, stacklevel=3)
