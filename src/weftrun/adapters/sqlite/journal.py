"""The Journal on SQLite (port Journal): one write connection, one fsync'd transaction for everything that waits.

How a Run lies in the file: its first row in table `run`, all others in `record`, so that a Run of one Step costs two
rows and four statements. What an append must know of a Run (its key, epoch and last seq) is kept in memory while the
Run is open; the statements check epoch and end again inside the transaction.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import apsw

from weftrun.adapters.sql.reading import drawn_hash_seed
from weftrun.adapters.sql.rows import body_of
from weftrun.adapters.sqlite import connection as connections
from weftrun.adapters.sqlite import filesystem, schema
from weftrun.adapters.sqlite.connection import LogRoom, WriteTurn, patiently, transact, translated
from weftrun.adapters.sqlite.heads import Binding, Head, check_next, start_binding
from weftrun.adapters.sqlite.outbox import add_emits, delete_emits
from weftrun.adapters.sqlite.places import SqlitePlaces
from weftrun.adapters.sqlite.statements import SCHEMA, SQL
from weftrun.model.errors import CommitUnknown, InternalError, JournalError, JournalFull, JournalMissing, LeaseLost
from weftrun.model.ids import RunId, RunUid
from weftrun.model.lease import Session
from weftrun.model.records import Ended, Retried, Row
from weftrun.model.schedules import KeptSchedule
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import PARKED, Appended, Message, Posted, Rest, RunInfo

T = TypeVar("T")


class Forgetting:
    """Forgets, where a transaction fails, what may not be so: the connection if nobody knows, else what heads say.

    They may have run ahead of what was undone.
    """

    def __init__(self, drop: Callable[[], None], forget_heads: Callable[[], None]) -> None:
        self._drop = drop
        self._forget_heads = forget_heads

    def __enter__(self) -> None:
        """Remember nothing: each failure is looked at by itself."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Forget what the error leaves unsure."""
        if isinstance(error, CommitUnknown):
            self._drop()
        elif error is not None:
            self._forget_heads()


class SqliteJournal(SqlitePlaces):
    """A Journal in a SQLite file.

    Args:
        path: of the file; made with its folder if it is not there, unless `create` is False.
        entropy: draws the hash seed of a new Journal, and the jitter between two tries for the write lock.
        pause: stops the calling thread for so many seconds (`time.sleep`).
        create: whether a missing file is made.
        allow_tmpfs: don't warn where the file lies in memory.
        patience_s: how long to try for the write lock before `JournalBusy`, in seconds.
        vfs: name of a registered SQLite VFS; None for SQLite's own. Tests inject faults through it.
    """

    def __init__(
        self,
        path: Path,
        entropy: Entropy,
        pause: Callable[[float], None],
        *,
        create: bool = True,
        allow_tmpfs: bool = False,
        patience_s: float = 5.0,
        vfs: str | None = None,
    ) -> None:
        super().__init__(path)
        self._turn = WriteTurn(entropy, pause, patience_s)
        self._no_turn = WriteTurn(entropy, pause, 0.0)
        self._vfs = vfs
        self._heads: dict[RunUid, Head] = {}
        self._forgetting = Forgetting(self._drop, self.forget_heads)
        self._log_room = LogRoom()
        self._closed = False
        self._connection: apsw.Connection | None = None
        if not create and not path.exists():
            raise JournalMissing(f"There is no Journal at {path}. Give another path, or run a workflow there first.")
        filesystem.make_folder(path)
        filesystem.check(path, allow_tmpfs=allow_tmpfs)
        self._hash_seed = drawn_hash_seed(entropy)
        self._connection = self._open(create=create)

    # ------------------------------------------------------------------ the connection

    def _open(self, *, create: bool) -> apsw.Connection:
        with translated(self._path, "opening it"):
            connection = connections.open_writer(self._path, create=create, vfs=self._vfs)
            try:
                patiently(self._turn, lambda: schema.version_of(connection, self._path, len(SCHEMA)))
                connections.set_durable(connection, self._turn)
                schema.bring_up_to_date(connection, self._path, self._turn, self._hash_seed)
                # A sync that failed once may succeed the next time without having written anything. So what an
                # earlier process left in the log is not believed before it is copied and synced in the database.
                # (Beside another open connection there is nothing to doubt: it shows what was committed and no more.)
                with contextlib.suppress(apsw.BusyError):
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            except BaseException:
                connections.release(connection)
                raise
        return connection

    def _connected(self) -> apsw.Connection:
        """Return the connection, a new one after a transaction of which nothing is known."""
        if self._closed:
            raise JournalError(f"The Journal {self._path} was closed.")
        if self._connection is None:
            try:
                self._connection = self._open(create=False)
            except JournalFull:
                raise
            except JournalError as error:
                raise CommitUnknown(f"{error} It is not known yet whether the last append happened.") from None
        return self._connection

    def close(self) -> None:
        """Release the file. Idempotent."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        self._heads.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connections.release(connection)

    def _transact(self, doing: str, work: Callable[[apsw.Connection], T], turn: WriteTurn | None = None) -> T:
        with self._forgetting:
            return transact(self._connected(), turn or self._turn, self._path, doing, work)

    # ------------------------------------------------------------------ append

    def append(self, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:
        """Commit all rows in one transaction; see the port."""
        turn = None if waits else self._no_turn
        appended = self._transact("recording", lambda connection: self.add(connection, rows, renew=renew), turn)
        self.added(rows, appended)
        return appended

    def add(self, connection: apsw.Connection, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Add rows in the open transaction of this Journal's connection, which the caller ends."""
        bodies = [body_of(row.records) for row in rows]
        if self._session is None:
            self._heads.clear()  # anybody may have claimed a Run that is nobody's
        self._check_session(connection, renew=renew)
        taken = self._start(connection, rows, bodies)
        lost = self._extend(connection, rows, bodies, taken)
        self._log_room.make(connection)
        return Appended(taken, lost)

    def added(self, rows: Sequence[Row], appended: Appended) -> None:
        """Forget what is not needed any more of Runs that have ended or were lost; their rows are committed."""
        for uid in (*appended.lost, *(row.uid for row in rows if isinstance(row.records[-1], Ended))):
            self._heads.pop(uid, None)

    @contextmanager
    def held(self, doing: str) -> Iterator[apsw.Connection]:
        """Give the connection for a part of a transaction that goes on; an error ends it, as in `append`."""
        with self._forgetting:
            connection = self._connected()
            with connections.AllOrNothing(connection, self._path, doing):
                yield connection

    def forget_heads(self) -> None:
        """What was added was undone: what is known of Runs is read again when it is needed."""
        self._heads.clear()

    def reopen(self) -> None:
        """Use another connection from now on."""
        self._drop()

    def take_lock(self) -> None:
        """Begin a transaction, seeing that the session is there."""
        with self.held("beginning a transaction") as connection:
            connections.begin(connection, self._turn)
            self._check_session(connection)

    def _check_session(self, connection: apsw.Connection, *, renew: bool = False) -> None:
        if self._session is None:
            return
        if renew:
            connection.execute(SQL["renew_session"], (self._session,))
            alive = connection.changes() == 1
        else:
            alive = connection.execute(SQL["has_session"], (self._session,)).fetchone() is not None
        if not alive:
            raise LeaseLost(f"Another engine has taken this one for dead in {self._path}, and its Runs with it.")

    def _start(self, connection: apsw.Connection, rows: Sequence[Row], bodies: Sequence[bytes]) -> frozenset[RunUid]:
        """Make the Runs whose first row is among `rows`, and return those whose id is taken."""
        new = [(row, body) for row, body in zip(rows, bodies, strict=True) if row.seq == 1]
        if not new:
            return frozenset()
        before = connection.total_changes()
        connection.executemany(SQL["start_run"], [(*start_binding(row, body), self._session) for row, body in new])
        if connection.total_changes() - before == len(new):
            # Under the write lock keys are given one after the other.
            first = connection.last_insert_rowid() - len(new) + 1
            for key, (row, _) in enumerate(new, first):
                self._heads[row.uid] = Head(key, row.epoch, 0, 0, self._session, 1)
            return frozenset()
        return frozenset(row.uid for row, body in new if not self._is_started(connection, row, body))

    def _is_started(self, connection: apsw.Connection, row: Row, body: bytes) -> bool:
        """Say whether the stored start of this Run is `row`; False where its id belongs to another Run."""
        head = self._head(connection, row.uid)
        if head is None:
            return False
        stored = connection.execute(SQL["stored_start"], (head.key,)).fetchone()
        if stored != (row.at, body):
            raise InternalError(f"Run {row.uid} in {self._path} was started before, in another way.")
        return True

    def _extend(
        self,
        connection: apsw.Connection,
        rows: Sequence[Row],
        bodies: Sequence[bytes],
        taken: frozenset[RunUid],
    ) -> frozenset[RunUid]:
        """Add the rows that are new; return the Runs that are another engine's."""
        lost = self._lost(connection, rows, taken)
        records: list[Binding] = []
        ends: list[Binding] = []
        untaken: list[Binding] = []
        progressed: list[Binding] = []
        places: list[Binding] = []
        for row, body in zip(rows, bodies, strict=True):
            if row.uid in taken or row.uid in lost:
                continue
            head = self._heads[row.uid]
            if row.seq > 1:
                if row.seq <= head.seq:
                    self._check_stored(connection, head, row, body)
                    continue
                check_next(head, row)
                records.append((head.key, row.seq, row.at, row.epoch, body))
                head.seq = row.seq
                add_emits(connection, head.key, row.records, row.at)
            elif head.seq > 1 or head.ended:
                continue
            last = row.records[-1]
            if isinstance(last, Ended):
                ends.append((head.key, row.epoch, last.status, row.at))
                if row.seq > 1:  # before its first row nobody can have left a message
                    untaken.append((head.key, last.status))
                head.ended = True
                if head.queued:
                    places.append((head.key,))
            elif not head.progressed and row.seq > 1:
                progressed.append((head.key,))
                head.progressed = True
        self._write(connection, {"add_record": records, "end_run": ends, "made_progress": progressed})
        if untaken:
            connection.executemany(SQL["drop_untaken"], untaken)
        if places:  # a Run that has ended gives its place back
            connection.executemany(SQL["remove_entry"], places)
        return lost

    def _lost(self, connection: apsw.Connection, rows: Sequence[Row], taken: frozenset[RunUid]) -> frozenset[RunUid]:
        """Return the Runs of rows that may not be added: this session does not own them, or they are gone.

        Only those that this connection has not begun or extended itself are looked up: nobody claims a Run whose
        session is there, and that it is was checked in this transaction.
        """
        lost = set()
        for row in rows:
            head = self._heads.get(row.uid) or self._head(connection, row.uid)
            if row.seq > 1 and (head is None or row.epoch < head.epoch or not self._owns(head)):
                lost.add(row.uid)
        return frozenset(lost - taken)

    def _owns(self, head: Head) -> bool:
        return self._session is None or head.ended or head.owner == self._session

    def _head(self, connection: apsw.Connection, uid: RunUid) -> Head | None:
        found = connection.execute(SQL["head"], (bytes.fromhex(uid),)).fetchone()
        if found is None:
            return None
        head = self._heads[uid] = Head(*cast(tuple[int, int, int, int, int | None, int, int], found))
        return head

    def _check_stored(self, connection: apsw.Connection, head: Head, row: Row, body: bytes) -> None:
        """Pass over a row that is stored already: an append that is repeated after `CommitUnknown`."""
        stored = connection.execute(SQL["stored_record"], (head.key, row.seq)).fetchone()
        if stored != (row.at, body):
            raise InternalError(f"Record {row.seq} of Run {row.uid} in {self._path} is another one already.")

    def _write(self, connection: apsw.Connection, bindings: Mapping[str, list[Binding]]) -> None:
        """Execute statements by name, each for all its bindings, which must change a row each."""
        for statement, bound in bindings.items():
            if bound:
                before = connection.total_changes()
                connection.executemany(SQL[statement], bound)
                if connection.total_changes() - before != len(bound):
                    raise InternalError(f"Not every row could be recorded in {self._path}.")

    # ------------------------------------------------------------------ Runs as a whole

    def claim(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Take over those of these Runs that are free; see the port."""

        def work(connection: apsw.Connection) -> list[RunInfo]:
            self._check_session(connection, renew=True)
            claimed = []
            for uid in uids:
                self._heads.pop(uid, None)
                key = bytes.fromhex(uid)
                connection.execute(SQL["claim_run"], (key, self._session))
                if connection.changes():
                    claimed += connection.execute(SQL["infos"], (key,)).fetchall()
            return self._infos(claimed)

        return self._transact("taking over Runs", work)

    def retry(self, uid: RunUid, life: int, at: float) -> bool:
        """Begin another life of a Run, once; see the port."""

        def work(connection: apsw.Connection) -> bool:
            self._check_session(connection)
            self._heads.pop(uid, None)
            stored = bytes.fromhex(uid)
            found = connection.execute(SQL["retry_run"], (stored, life, PARKED, self._session)).fetchall()
            for key, epoch in found:
                connection.execute(SQL["add_life"], (key, at, epoch, body_of((Retried(life),))))
                connection.execute(SQL["drop_cancels"], (key,))
            lives = connection.execute(SQL["lives"], (stored,)).fetchone()
            return lives is not None and cast(int, lives[0]) >= life

        return self._transact("beginning another life of a Run", work)

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free Runs of this session, and count one take-over less of each."""

        def work(connection: apsw.Connection) -> None:
            for uid in uids:
                self._heads.pop(uid, None)
            connection.executemany(SQL["put_back"], [(bytes.fromhex(uid), self._session) for uid in uids])

        self._transact("putting Runs back", work)

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """Free Runs of this session until they are due, or at once where a message waits; see the port."""

        def work(connection: apsw.Connection) -> None:
            for uid in waiting:
                self._heads.pop(uid, None)
            bindings = [
                (bytes.fromhex(uid), rest.until, self._session, rest.what, rest.heard) for uid, rest in waiting.items()
            ]
            connection.executemany(SQL["suspend"], bindings)

        self._transact("suspending Runs", work)

    # ------------------------------------------------------------------ sessions

    def begin(self, session: Session) -> None:
        """Make a session; what is started or claimed from now on is its."""
        facts = (bytes.fromhex(session.uid), session.host, session.pid, session.lock, session.ttl_s)

        def work(connection: apsw.Connection) -> int:
            ((key,),) = connection.execute(SQL["begin_session"], facts).fetchall()
            return cast(int, key)

        self._heads.clear()
        self._session = self._transact("beginning a session", work)

    def declare_dead(self, session: Session) -> bool:
        """Remove a dead session; False where it has renewed since, or is gone already."""
        return self._remove("declare_dead", (bytes.fromhex(session.uid), session.heartbeat))

    def leave(self) -> None:
        """Remove this Journal's own session. Idempotent."""
        session, self._session = self._session, None
        if session is not None:
            self._remove("leave_session", (session,))

    def _remove(self, statement: str, which: Binding) -> bool:
        """Remove a session and free its Runs, if it is there."""

        def work(connection: apsw.Connection) -> bool:
            found = connection.execute(SQL[statement], which).fetchall()
            connection.executemany(SQL["free_all"], found)
            return bool(found)

        return self._transact("removing a session", work)

    def post(self, message: Message, *, signals_max: int = 10_000) -> Posted:
        """Put a message into the inbox, and wake its Run; see the port."""

        def work(connection: apsw.Connection) -> Posted:
            found = connection.execute(SQL["addressee"], (bytes.fromhex(message.run), signals_max)).fetchone()
            if found is None:
                return "missing"
            key, has_ended, has_room = found
            if has_ended:
                return "ended"
            if connection.execute(SQL["has_message"], (message.id,)).fetchone() is None:
                if message.kind == "signal" and not has_room:
                    return "full"
                told = (message.id, key, message.kind, message.name, message.at, message.value)
                connection.execute(SQL["post_message"], told)
            connection.execute(SQL["wake"], (key, message.kind, PARKED))
            if message.kind == "cancel":
                connection.execute(SQL["take_out"], (key,))
            return "posted"

        return self._transact("leaving a message", work)

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages that are folded into durable records."""
        found = [(id,) for id in ids]
        self._transact("clearing the inbox", lambda connection: connection.executemany(SQL["drop_message"], found))

    def delete(self, run: RunId, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run's records, leaving a tombstone, or nothing at all if `forget` (G1)."""

        def work(connection: apsw.Connection) -> RunInfo | None:
            found = connection.execute(SQL["find_run"], (run,)).fetchall()
            if not found:
                return None
            info = self._info(found[0])
            delete_emits(connection, info)
            connection.execute(SQL["delete_messages"], (run,))
            connection.execute(SQL["delete_records"], (run,))
            connection.execute(SQL["forget_run" if forget else "leave_tombstone"], (run,))
            return info

        return self._transact("deleting a Run", work)

    def delete_ended(self, uids: Sequence[RunUid], *, before: float, forget: bool) -> list[RunUid]:
        """Delete those of these Runs that ended before a time; see the port."""

        def work(connection: apsw.Connection) -> list[RunUid]:
            gone = []
            for uid in uids:
                found = connection.execute(SQL["deletable"], (bytes.fromhex(uid), before)).fetchall()
                for (id,) in found:
                    for statement in ("delete_emits", "delete_messages", "delete_records"):
                        connection.execute(SQL[statement], (id,))
                    connection.execute(SQL["forget_run" if forget else "leave_tombstone"], (id,))
                    gone.append(uid)
            return gone

        return self._transact("deleting Runs", work)

    def put_schedule(self, schedule: KeptSchedule, expected: str) -> bool:
        """Put a schedule in the place of one revision of it; see the port."""
        told = {name: getattr(schedule, name) for name in ("id", "revision", "wakes_at", "decided_at")}
        told |= {"body": body_of(schedule), "expected": expected}

        def work(connection: apsw.Connection) -> bool:
            connection.execute(SQL["change_schedule" if expected else "add_schedule"], told)
            found = connection.execute(SQL["has_revision"], (schedule.id, schedule.revision)).fetchone()
            return found is not None

        return self._transact("changing a schedule", work)

    def delete_schedule(self, id: str) -> bool:
        """Delete a schedule; say whether it was there."""

        def work(connection: apsw.Connection) -> bool:
            connection.execute(SQL["delete_schedule"], (id,))
            return connection.changes() == 1

        return self._transact("deleting a schedule", work)
