"""The reading half of the Journal, for engines and for those who only look on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import apsw

from weftrun.adapters.sql.rows import blobs_in, records_of
from weftrun.adapters.sqlite import connection as connections
from weftrun.adapters.sqlite import filesystem, schema
from weftrun.adapters.sqlite.connection import translated
from weftrun.adapters.sqlite.statements import SCHEMA, SQL
from weftrun.model.emits import Emitted, Standing, emit_key
from weftrun.model.errors import JournalCorrupt, JournalError
from weftrun.model.ids import RunId, RunUid, SessionUid, StepId
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.ports.journal import JournalMeta, Message, RunInfo

InfoColumns = tuple[str, bytes, str, str, float, float | None, int, int, str, str, str, int, bytes | None, int, float]


def info_of(columns: apsw.SQLiteValues) -> RunInfo:
    """Make a RunInfo from the columns that all statements on Runs select."""
    (
        id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file, deleted,
        owner, _, due_at,
    ) = cast(InfoColumns, columns)  # fmt: skip
    return RunInfo(
        id=RunId(id),
        uid=RunUid(uid.hex()),
        function=function,
        status=cast(Status, status),
        started_at=started_at,
        ended_at=ended_at,
        epoch=epoch,
        takeovers=takeovers,
        digest=digest,
        version=version,
        file=file,
        deleted=bool(deleted),
        owner=SessionUid(owner.hex() if owner is not None else ""),
        due_at=due_at,
    )


EmittedColumns = tuple[str, bytes, str, int, str, str | None, int, float, float | None, str]


def emitted_of(columns: apsw.SQLiteValues) -> Emitted:
    """Make an Emitted from the columns that all statements on the outbox select."""
    id, uid, step, n, sink, order_by, standing, at, standing_at, why = cast(EmittedColumns, columns)
    key = emit_key(RunUid(uid.hex()), StepId(step), n)
    return Emitted(RunId(id), key, StepId(step), sink, order_by, Standing(standing), at, standing_at, why)


class JournalReading:
    """What can be asked of a Journal. Subclasses own the connection."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._session: int | None = None

    def _connected(self) -> apsw.Connection:
        raise NotImplementedError

    def _rows(self, statement: str, bindings: tuple[apsw.SQLiteValue, ...] = ()) -> list[apsw.SQLiteValues]:
        with translated(self._path, "reading"):
            return self._connected().execute(SQL[statement], bindings).fetchall()

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""
        with translated(self._path, "reading"):
            hash_seed = schema.hash_seed_of(self._connected(), self._path)
        return JournalMeta(schema=len(SCHEMA), hash_seed=hash_seed, sqlite=apsw.sqlite_lib_version())

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""
        found = self._rows("find_run", (run,))
        return info_of(found[0]) if found else None

    def runs(self, *, status: Status | None = None, limit: int = 100) -> list[RunInfo]:
        """Return Runs, newest first; without tombstones."""
        if status is None:
            return [info_of(row) for row in self._rows("list_runs", (limit,))]
        return [info_of(row) for row in self._rows("list_runs_by_status", (status, limit))]

    def open_runs(self) -> list[RunInfo]:
        """Return all Runs that have not ended, oldest first."""
        return [info_of(row) for row in self._rows("open_runs")]

    def free_runs(self, limit: int, *, due_by: float) -> list[RunInfo]:
        """Return open Runs that no session owns and that are due by this time, oldest first."""
        return [info_of(row) for row in self._rows("free_runs", (due_by, limit))]

    def next_due(self, *, after: float) -> float | None:
        """Return when the next Run that was let go is due, after this time; None where none is."""
        found = self._rows("next_due", (after,))
        return cast(float, found[0][0]) if found else None

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""
        return [info_of(row) for uid in uids for row in self._rows("info", (bytes.fromhex(uid),))]

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""
        found = cast(list[tuple[bytes, str, int, str, float, int, int]], self._rows("sessions"))
        return [
            Session(SessionUid(uid.hex()), host, pid, lock, ttl_s, beat, runs)
            for uid, host, pid, lock, ttl_s, beat, runs in found
        ]

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order, none of a deleted one; `JournalCorrupt` names what can't be read."""
        starts = self._rows("load_start", (bytes.fromhex(uid),))
        if not starts:
            return []
        key, id, at, born, start = cast(tuple[int, str, float, int, bytes | None], starts[0])
        if start is None:
            return []
        stored = [(1, at, born, start)]
        stored += cast(list[tuple[int, float, int, bytes]], self._rows("load_records", (key,)))
        rows = []
        for place, (seq, decided_at, epoch, body) in enumerate(stored, 1):
            if seq != place:
                raise JournalCorrupt(
                    f"{self._path} is damaged: Run {id} has no record {place}. Restore it from a backup."
                )
            records = records_of(body, f"Record {seq} of Run {id} in {self._path}")
            rows.append(Row(uid, seq, decided_at, epoch, records))
        return rows

    def inbox(self) -> list[Message]:
        """Return messages to Runs that have not ended, of one session's if there is one, oldest first."""
        found = cast(list[tuple[str, bytes, str]], self._rows("inbox", (self._session,)))
        return [Message(id, RunUid(run.hex()), kind) for id, run, kind in found]

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""
        return [emitted_of(row) for row in self._rows("emitted", (bytes.fromhex(run),))]

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""
        return [emitted_of(row) for row in self._rows("undelivered", (limit,))]

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""
        named: set[str] = set()
        with translated(self._path, "looking for blobs"):
            for (body,) in self._connected().execute(SQL["bodies"]):
                named.update(blobs_in(cast(bytes, body)))
        return named


class SqliteReader(JournalReading):
    """A Journal opened read-only, beside a running engine or without one.

    Args:
        path: the Journal's file, which must exist.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._connection: apsw.Connection | None = None
        if not path.exists():
            raise JournalError(f"There is no Journal at {path}. Give another path, or run a workflow there first.")
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
        """Let go of the file. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
