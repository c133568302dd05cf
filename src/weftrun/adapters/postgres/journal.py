"""The Journal on PostgreSQL (port Journal): one connection, one round trip and one commit for everything that waits.

Each call is one statement, which is a transaction of its own, so that an engine that is stopped in the middle of what
it does holds no lock. What must be decided between lock and commit is decided in the database, by the functions of
`schema/`; nothing of a Run is remembered here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar, cast

import msgspec
import psycopg
from msgspec import Struct
from psycopg import errors

from weftrun.adapters.postgres import connection as connections
from weftrun.adapters.postgres import schema
from weftrun.adapters.postgres.connection import Connection
from weftrun.adapters.postgres.outbox import emits_binding
from weftrun.adapters.postgres.places import PostgresPlaces
from weftrun.adapters.postgres.prepared import Prepared
from weftrun.adapters.postgres.statements import SQL
from weftrun.adapters.sql.outbox import check_deletable
from weftrun.adapters.sql.reading import Bindings, Columns, drawn_hash_seed
from weftrun.adapters.sql.rows import body_of
from weftrun.model.errors import CommitUnknown, InternalError, JournalError, JournalNewer
from weftrun.model.ids import RunId, RunUid
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.records import Ended, Retried, Row, Started, emits_in
from weftrun.model.schedules import KeptSchedule
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import PARKED, Appended, Message, Posted, Rest, RunInfo

DEADLOCKS_MAX = 3
"""Times in a row that a transaction is said again because the server chose it to end a deadlock."""

_encode = msgspec.json.Encoder().encode

T = TypeVar("T")


class First(Struct, frozen=True, gc=False):
    """The first row of a Run, as the function `append` takes it; its body goes beside it."""

    uid: RunUid
    at: float
    epoch: int
    status: str
    id: RunId
    function: str
    version: str
    file: str
    digest: str


class PostgresJournal(PostgresPlaces):
    """A Journal in a PostgreSQL database, in a schema of its own named `weftrun`.

    Args:
        url: `postgresql://user:password@host:port/database`, and what libpq takes more.
        entropy: draws the hash seed of a new Journal.
        create: whether tables are made in a database that has none.
        patience_s: how long to wait for a lock that another engine holds before `JournalBusy`, in seconds.
    """

    _lost = CommitUnknown

    def __init__(self, url: str, entropy: Entropy, *, create: bool = True, patience_s: float = 5.0) -> None:
        super().__init__(url)
        self._patience_s = patience_s
        self._closed = False
        self._statements: Prepared | None = None
        self._hash_seed = drawn_hash_seed(entropy)
        self._connection = self._open(create=create)

    # ------------------------------------------------------------------ the connection

    def _open(self, *, create: bool) -> Connection:
        connection = connections.connect(self._url, patience_s=self._patience_s, writes=True)
        try:
            schema.bring_up_to_date(connection, self._where, self._hash_seed, create=create)
        except BaseException:
            connections.release(connection)
            raise
        return connection

    def _connected(self) -> Connection:
        """Return the connection, a new one after one was lost."""
        if self._closed:
            raise JournalError(f"The Journal {self._where} was closed.")
        if self._connection is None:
            try:
                self._connection = self._open(create=False)
            except JournalNewer:
                raise
            except JournalError as error:
                raise CommitUnknown(f"{error} It is not known yet whether the last append happened.") from None
        return self._connection

    @property
    def url(self) -> str:
        """The URL that it was opened with."""
        return self._url

    @property
    def where(self) -> str:
        """What may be shown of the URL."""
        return self._where

    @property
    def session(self) -> int | None:
        """Key of its session."""
        return self._session

    @property
    def patience_s(self) -> float:
        """How long a statement waits for a lock, in seconds."""
        return self._patience_s

    def close(self) -> None:
        """Release the connection. Idempotent."""
        self._closed = True
        self._drop()

    def _said(self, doing: str, statement: str, bindings: Bindings) -> psycopg.Cursor[Columns]:
        """Say a statement that changes something, which is committed when this returns."""
        return self._done(doing, lambda: self._connected().execute(SQL[statement], bindings, binary=True))

    def _done(self, doing: str, say: Callable[[], T]) -> T:
        """Return what was answered to a transaction, which is committed when this returns.

        A connection that is lost at any moment leaves open whether it was: `CommitUnknown`. Every other error means
        that it was not.
        """
        with self._translated(doing):
            for _ in range(DEADLOCKS_MAX):
                try:
                    return say()
                except errors.DeadlockDetected:
                    continue
            return say()

    # ------------------------------------------------------------------ append

    def append(self, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:  # noqa: ARG002
        """Commit all rows in one transaction; see the port. Nobody can hold the whole Journal here."""
        if len(rows) == 1 and not renew and self._is_appended(rows[0]):
            return Appended()
        statement, bound = append_statement(self._session, rows, renew=renew)
        return left_out(self._said("recording", statement, bound).fetchall())

    def _is_appended(self, row: Row) -> bool:
        """Append a row that is neither first nor last of a Run of this session, and emits nothing; else say False."""
        if self._session is None or row.seq == 1 or _end_of(row) is not None or any(emits_in(row.records)):
            return False
        bound = (
            b"%d" % self._session,
            row.uid.encode(),
            b"%d" % row.seq,
            repr(row.at).encode(),
            b"%d" % row.epoch,
            body_of(row.records),
        )

        def say() -> bool:
            try:
                return bool(self._prepared().say("append_one", bound, _ONE_BINARY))
            except errors.UniqueViolation:
                return False

        return self._done("recording", say)

    def _prepared(self) -> Prepared:
        connection = self._connected()
        if self._statements is None or not self._statements.is_of(connection):
            self._statements = Prepared(connection)
        return self._statements

    # ------------------------------------------------------------------ Runs as a whole

    def claim(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Take over those of these Runs that are free; see the port."""
        # The Runs of which a claim by this session may have happened before: all of them may be.
        return self._infos(self._said("taking over Runs", "claim", (self._session, list(uids), list(uids))).fetchall())

    def retry(self, uid: RunUid, life: int, at: float) -> bool:
        """Begin another life of a Run, once; see the port."""
        bound = (self._session, uid, life, at, body_of((Retried(life),)), PARKED)
        ((begun,),) = self._said("beginning another life of a Run", "retry_run", bound).fetchall()
        return bool(begun)

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free Runs of this session, and count one take-over less of each."""
        self._said("putting Runs back", "put_back", (list(uids), self._session))

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """Free Runs of this session until they are due, or at once where a message waits; see the port."""
        rests = list(waiting.values())
        bound = (
            self._session,
            list(waiting),
            [rest.until for rest in rests],
            [rest.what for rest in rests],
            [rest.heard for rest in rests],
        )
        self._said("suspending Runs", "suspend", bound)

    # ------------------------------------------------------------------ sessions

    def begin(self, session: Session) -> None:
        """Make a session; what is started or claimed from now on is its."""
        facts = (session.uid, session.host, session.pid, session.lock, session.ttl_s)
        ((key,),) = self._said("beginning a session", "begin_session", facts).fetchall()
        self._session = key

    def declare_dead(self, session: Session) -> bool:
        """Remove a dead session; False where it has renewed since, or is gone already."""
        return self._said("removing a session", "declare_dead", (session.uid, session.heartbeat)).rowcount == 1

    def leave(self) -> None:
        """Remove this Journal's own session. Idempotent."""
        if self._session is not None:
            self._said("leaving", "leave_session", (self._session,))
            self._session = None

    def post(self, message: Message, *, signals_max: int = 10_000) -> Posted:
        """Put a message into the inbox, and wake its Run; see the port."""
        told = {name: getattr(message, name) for name in ("id", "run", "kind", "name", "at", "value")}
        bound = told | {"signals_max": signals_max, "parked": PARKED}
        ((posted,),) = self._said("leaving a message", "post_message", bound).fetchall()
        return cast(Posted, posted)

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages that are folded into durable records."""
        self._said("clearing the inbox", "drop_messages", (list(ids),))

    def delete(self, run: RunId, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records, leaving a tombstone, or nothing at all if `forget` (G1)."""
        info = self.find(run)
        if info is None:
            return None
        check_deletable(info, self._rows("open_emits", (info.uid,))[0][0])
        # By its uid, and only if it has ended: what has ended stays so, and another Run may have the id by now.
        self._said("deleting a Run", "forget_run" if forget else "leave_tombstone", {"uid": info.uid})
        return info

    def delete_ended(self, uids: Sequence[RunUid], *, before: float, forget: bool) -> list[RunUid]:
        """Delete those of these Runs that ended before a time; see the port."""
        told = {"uids": [self._stored(uid) for uid in uids], "before": before}
        found = self._said("deleting Runs", "forget_ended" if forget else "delete_ended", told).fetchall()
        return [RunUid(self._hex(uid)) for (uid,) in found]

    def put_schedule(self, schedule: KeptSchedule, expected: str) -> bool:
        """Put a schedule in the place of one revision of it; see the port."""
        told = {name: getattr(schedule, name) for name in ("id", "revision", "wakes_at", "decided_at")}
        told |= {"body": body_of(schedule), "expected": expected}
        if self._said("changing a schedule", "change_schedule" if expected else "add_schedule", told).rowcount == 1:
            return True
        # It was another one's, or this very one has been put by a try of which nothing was known.
        return bool(self._rows("has_revision", (schedule.id, schedule.revision)))

    def delete_schedule(self, id: str) -> bool:
        """Delete a schedule; say whether it was there."""
        return self._said("deleting a schedule", "delete_schedule", (id,)).rowcount == 1


def left_out(found: Sequence[Columns]) -> Appended:
    """Return what the function `append` told."""
    ((told,),) = found
    return Appended(_uids(told["taken"]), _uids(told["lost"])) if told is not None else Appended()


def append_statement(session: int | None, rows: Sequence[Row], *, renew: bool) -> tuple[str, tuple[Any, ...]]:
    """Return the name of the statement that appends these rows, and what it takes."""
    emits = emits_binding(rows)
    return "append_emitting" if emits else "append", (*_append_binding(session, rows, renew=renew), *emits)


def _append_binding(session: int | None, rows: Sequence[Row], *, renew: bool) -> tuple[Any, ...]:
    firsts = [row for row in rows if row.seq == 1]
    # Sorting leaves the rows of a Run in their order.
    laters = sorted((row for row in rows if row.seq > 1), key=_uid_of)
    # No bodies are NULL: an empty array takes the driver 10 µs.
    return (
        session,
        renew,
        _encode([_first_of(row) for row in firsts]).decode(),
        [body_of(row.records) for row in firsts] or None,
        _array(row.uid for row in laters),
        _array(row.seq for row in laters),
        _array(row.at for row in laters),
        _array(row.epoch for row in laters),
        _array(_end_of(row) or "NULL" for row in laters),
        [body_of(row.records) for row in laters] or None,
    )


_uid_of = attrgetter("uid")


_ONE_BINARY = tuple(place == 5 for place in range(6))
"""Which parameters of `append_one` are in binary form: the body."""


def _array(items: Iterable[str | float]) -> str:
    """Return words and numbers as PostgreSQL reads an array; quicker than the driver, which must look at each."""
    return "{" + ",".join(map(str, items)) + "}"


def _end_of(row: Row) -> Status | None:
    last = row.records[-1]
    return last.status if isinstance(last, Ended) else None


def _first_of(row: Row) -> First:
    started = row.records[0]
    if not isinstance(started, Started):
        raise InternalError(f"The first record of Run {row.uid} is no start record.")
    function = started.function
    facts = (started.id, function.name, function.version, started.bundle.file, started.digest)
    return First(row.uid, row.at, row.epoch, _end_of(row) or "running", *facts)


def _uids(found: Sequence[str]) -> frozenset[RunUid]:
    return frozenset(RunUid(uid.replace("-", "")) for uid in found)
