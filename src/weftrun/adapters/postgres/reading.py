"""The reading half of the Journal, for engines and for those who only look on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, cast

import psycopg

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres import schema
from weftrun.adapters.postgres.connection import Connection, connect_text, is_lost, told
from weftrun.adapters.postgres.statements import SCHEMA, SQL
from weftrun.adapters.sql.rows import blobs_in, records_of
from weftrun.model.emits import Emitted, Standing, emit_key
from weftrun.model.errors import JournalCorrupt, JournalError
from weftrun.model.ids import RunId, RunUid, SessionUid, StepId
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.ports.journal import JournalMeta, Message, RunInfo

Columns = tuple[Any, ...]
Bindings = Sequence[object] | Mapping[str, object]


class Uuid(Protocol):
    """How the driver gives a `uuid`."""

    @property
    def hex(self) -> str:
        """Return 32 hexadecimal digits."""


def info_of(columns: Columns) -> RunInfo:
    """Make a RunInfo from the columns of the view `info`."""
    (
        id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file, deleted,
        owner, _, due_at,
    ) = columns  # fmt: skip
    return RunInfo(
        id=RunId(id),
        uid=RunUid(cast(Uuid, uid).hex),
        function=function,
        status=cast(Status, status),
        started_at=started_at,
        ended_at=ended_at,
        epoch=epoch,
        takeovers=takeovers,
        digest=digest,
        version=version,
        file=file,
        deleted=deleted,
        owner=SessionUid("" if owner is None else cast(Uuid, owner).hex),
        due_at=due_at,
    )


def emitted_of(columns: Columns) -> Emitted:
    """Make an Emitted from the columns that all statements on the outbox select."""
    id, uid, step, n, sink, order_by, standing, at, standing_at, why = columns
    key = emit_key(RunUid(cast(Uuid, uid).hex), StepId(step), n)
    return Emitted(RunId(id), key, StepId(step), sink, order_by, Standing(standing), at, standing_at, why)


class JournalReading:
    """What can be asked of a Journal. Subclasses own the connection."""

    _lost: type[JournalError] = JournalError

    def __init__(self, url: str) -> None:
        self._url = url
        self._where = connect_text(url)
        self._session: int | None = None
        self._connection: Connection | None = None

    def _connected(self) -> Connection:
        raise NotImplementedError

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connections.let_go(connection)

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        """Raise errors of this project instead of the driver's, and let go of a connection that is lost."""
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

    def _rows(self, statement: str, bindings: Bindings = ()) -> list[Columns]:
        with self._translated("reading"):
            return self._asked(statement, bindings)

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""
        with self._translated("reading"):
            _, hash_seed = schema.meta_of(self._connected(), self._where)
        return JournalMeta(schema=len(SCHEMA), hash_seed=hash_seed)

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
        return [info_of(row) for row in self._rows("free_runs", {"limit": limit, "due_by": due_by})]

    def next_due(self, *, after: float) -> float | None:
        """Return when the next Run that was let go is due, after this time; None where none is."""
        found = self._rows("next_due", (after,))
        return cast(float, found[0][0]) if found else None

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""
        return [info_of(row) for row in self._rows("infos", (list(uids),))]

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""
        return [Session(SessionUid(cast(Uuid, uid).hex), *rest) for uid, *rest in self._rows("sessions")]

    def load(self, uid: RunUid) -> list[Row]:
        """Return all rows of a Run in order, none of a deleted one; `JournalCorrupt` names what can't be read."""
        stored = self._rows("load", {"uid": uid})
        if not stored or stored[0][-1] is None:
            return []
        rows = []
        for place, (id, seq, at, epoch, body) in enumerate(stored, 1):
            if seq != place:
                raise JournalCorrupt(
                    f"{self._where} is damaged: Run {id} has no record {place}. Restore it from a backup."
                )
            rows.append(Row(uid, seq, at, epoch, records_of(body, f"Record {seq} of Run {id} in {self._where}")))
        return rows

    def inbox(self) -> list[Message]:
        """Return messages to Runs that have not ended, of one session's if there is one, oldest first."""
        found = self._rows("inbox", {"session": self._session})
        return [Message(id, RunUid(cast(Uuid, run).hex), kind) for id, run, kind in found]

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""
        return [emitted_of(columns) for columns in self._rows("emitted", (run,))]

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""
        return [emitted_of(columns) for columns in self._rows("undelivered", (limit,))]

    def blobs_named(self) -> set[str]:
        """Return the SHA-256 of every blob that some record names, so that others can be removed."""
        named: set[str] = set()
        with self._translated("looking for blobs"), self._connected().cursor(binary=True) as cursor:
            # Row by row: all bodies together may be larger than the memory.
            for (body,) in cursor.stream(SQL["bodies"]):
                named.update(blobs_in(body))
        return named


class PostgresReader(JournalReading):
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
        """Let go of the connection. Idempotent."""
        self._closed = True
        self._drop()
