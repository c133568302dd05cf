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
from weftrun.ports.trace import RunningRow, TraceRow, WaitRow, WorkerRow, text_of

TRACE = read_statements(__package__, "trace.sql")
PAGE_BYTES = 4096
# Beside the writer's short transactions a reader in another process is the only one who ever locks the file.
BUSY_MS = 200

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(TraceRow).decode
_decode_running = msgspec.msgpack.Decoder(RunningRow).decode
_decode_wait = msgspec.msgpack.Decoder(WaitRow).decode
_decode_worker = msgspec.msgpack.Decoder(WorkerRow).decode
_Said = tuple[str, Sequence[Sequence[bytes | str]]]
"""A statement, and all it is to be said with."""


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
            connection.execute(TRACE["make_running"])
            connection.execute(TRACE["make_workers"])
            connection.execute(TRACE["make_waits"])
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

    @property
    def is_open(self) -> bool:
        """Whether there is a file that is written to or read."""
        return self._connection is not None

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows."""
        if rows:
            self._write([("write", [(bytes.fromhex(row.run), _encode(row)) for row in rows])])

    def show_running(self, engine: str, rows: Sequence[RunningRow]) -> None:
        """Say what an engine sees running of all its Runs, in the place of what it said before.

        `engine` names it among all that use this trace.
        """
        shown = [(engine, bytes.fromhex(row.run), _encode(row)) for row in rows]
        self._write([("forget_engine", [(engine,)]), ("show", shown)])

    def end_running(self, run: RunUid) -> None:
        """Say that what was seen running of a Run runs no more; what had been printed is kept in rows `text`."""
        uid = bytes.fromhex(run)
        if ended := self.running(run):
            kept = [(uid, _encode(text_of(row))) for row in ended]
            self._write([("forget_run", [(uid,)]), ("write", kept)])

    def _write(self, said: Sequence[_Said]) -> None:
        """Say all in one transaction; on a full file once more without the oldest rows."""
        if self._connection is None:
            return
        try:
            try:
                self._say(self._connection, said)
            except apsw.FullError:
                self._connection.execute(TRACE["drop_oldest"])
                self._say(self._connection, said)
        except apsw.Error as error:
            self._warn(error)

    def _say(self, connection: apsw.Connection, said: Sequence[_Said]) -> None:
        connection.execute(TRACE["begin"])
        try:
            for statement, bindings in said:
                connection.executemany(TRACE[statement], bindings)
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

    def newest(self, run: RunUid) -> int:
        """Return the place of the newest row of a Run; 0 where there is none."""
        if self._connection is None:
            return 0
        try:
            return cast(int, self._connection.execute(TRACE["newest"], (bytes.fromhex(run),)).fetchall()[0][0])
        except apsw.Error as error:
            self._warn(error)
            return 0

    def running(self, run: RunUid) -> list[RunningRow]:
        """Return what was seen running of a Run, in the order in which it was entered."""
        if self._connection is None:
            return []
        try:
            found = self._connection.execute(TRACE["running"], (bytes.fromhex(run),)).fetchall()
            return sorted((_decode_running(cast(bytes, body)) for (body,) in found), key=lambda row: row.entered_at)
        except apsw.SQLError:
            return []  # a trace that was made before there was such a table, and no engine has opened since
        except (apsw.Error, msgspec.MsgspecError) as error:
            self._warn(error)
            return []

    def show_workers(self, engine: str, rows: Sequence[WorkerRow]) -> None:
        """Say which Workers an engine has, in the place of what it said before."""
        shown = [(engine, _encode(row)) for row in rows]
        self._write([("forget_workers", [(engine,)]), ("show_worker", shown)])

    def workers(self) -> dict[str, list[WorkerRow]]:
        """Return by engine which Workers it has said to have last."""
        found: dict[str, list[WorkerRow]] = {}
        if self._connection is None:
            return found
        try:
            for engine, body in self._connection.execute(TRACE["workers"]):
                found.setdefault(cast(str, engine), []).append(_decode_worker(cast(bytes, body)))
        except apsw.SQLError:
            return {}  # a trace that was made before there was such a table, and no engine has opened since
        except (apsw.Error, msgspec.MsgspecError) as error:
            self._warn(error)
        return found

    def show_waits(self, engine: str, rows: Sequence[WaitRow]) -> None:
        """Say what Runs wait for that an engine holds in memory, in the place of what it said before."""
        shown = [(engine, bytes.fromhex(row.run), _encode(row)) for row in rows]
        self._write([("forget_waits", [(engine,)]), ("show_wait", shown)])

    def waits(self) -> list[WaitRow]:
        """Return what Runs were seen waiting for last, of all engines."""
        if self._connection is None:
            return []
        try:
            return [_decode_wait(cast(bytes, body)) for (body,) in self._connection.execute(TRACE["waits"])]
        except apsw.SQLError:
            return []  # a trace that was made before there was such a table, and no engine has opened since
        except (apsw.Error, msgspec.MsgspecError) as error:
            self._warn(error)
            return []

    def delete(self, run: RunUid) -> None:
        """Forget the rows of a Run, and what was seen running of it."""
        uid = bytes.fromhex(run)
        self._write([("delete", [(uid,)]), ("forget_run", [(uid,)]), ("forget_waits_of", [(uid,)])])

    def close(self) -> None:
        """Release the file. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close(force=True)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(f"The trace {self._path} can't be kept or read: {error}.", UserWarning, stacklevel=3)
