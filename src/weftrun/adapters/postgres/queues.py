"""Queues in a PostgreSQL Journal (port Queues): the part that keeps Runs until there is a place for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import psycopg
from msgspec import Struct

from weftrun.adapters.postgres.outbox import PostgresOutbox
from weftrun.adapters.sql.queues import binding_of, check_deletable, entry_of, first_rows
from weftrun.adapters.sql.reading import Bindings, Columns
from weftrun.adapters.sql.rows import body_of
from weftrun.model.errors import InternalError
from weftrun.model.ids import RunId, RunUid
from weftrun.model.queues import KeptQueue, NotQueued, QueueLane, QueueLanes, QueueNow
from weftrun.model.records import Row, Started

_encode = msgspec.json.Encoder().encode


class QueuedStart(Struct, frozen=True, gc=False):
    """The first row of a Run of a queue, as the function `enqueue` takes it; its body goes beside it."""

    uid: RunUid
    at: float
    epoch: int
    id: RunId
    function: str
    version: str
    file: str
    digest: str
    queue: str
    lane: str
    priority: int
    starts_at: float
    once: str


class PostgresQueues(PostgresOutbox):
    """Puts Runs into queues and lets them out. Subclasses own the connection."""

    def _said(self, doing: str, statement: str, bindings: Bindings) -> psycopg.Cursor[Columns]:
        raise NotImplementedError

    def put_queue(self, queue: KeptQueue, expected: str) -> bool:
        """Put a queue in the place of one revision of it; see the port."""
        statement = "change_queue" if expected else "add_queue"
        if self._said("changing a queue", statement, binding_of(queue, expected)).rowcount == 1:
            return True
        return bool(self._rows("has_queue_revision", (queue.name, queue.revision)))

    def delete_queue(self, name: str) -> bool:
        """Delete a queue in which no Run is; say whether it was there."""
        if self._said("deleting a queue", "delete_queue", {"name": name}).rowcount == 1:
            return True
        check_deletable(name, is_used=self._rows("queue_is_used", (name,))[0][0])
        return False

    def enqueue(self, rows: Sequence[Row], now: float) -> Mapping[RunUid, NotQueued]:
        """Put Runs into their queues; see the port."""
        starts = _encode([_start_of(row) for row in rows]).decode()
        bodies = [body_of(row.records) for row in rows]
        ((refused,),) = self._said("putting Runs into a queue", "enqueue", (starts, bodies, now)).fetchall()
        return {
            _uid(told["uid"]): NotQueued(told["why"], told.get("length", 0), _uid(told.get("run") or ""))
            for told in refused
        }

    def ripen(self, name: str, now: float) -> None:
        """Let Runs wait that were delayed until now."""
        self._said("ripening", "ripen", (name, now))

    def queue_now(self, name: str) -> QueueNow | None:
        """Return a queue with what is under way; see the port."""
        queue = self.queue(name)  # before anything is counted
        return None if queue is None else QueueNow(queue, dict(self._rows("queue_under_way", (name,))))

    def lanes(self, queue: KeptQueue, skip: Sequence[str], most: int) -> QueueLanes:
        """Return who waits, in the order of their turns; see the port."""
        turns = _encode({str(priority): key for priority, key in queue.turns}).decode()
        bound = {"queue": queue.name, "turns": turns, "skip": list(skip), "most": most}
        found = self._rows("lanes", bound)
        count = sum(1 for _, key, *_ in found if key is not None)
        each = -(-2 * most // max(1, count))
        lanes = [
            QueueLane(priority, key, tuple(RunUid(self._hex(uid)) for uid in uids), has_more=len(uids) == each)
            for priority, key, _, uids in found
            if key is not None
        ]
        return QueueLanes(tuple(lanes), all(is_complete for _, _, is_complete, _ in found))

    def begin_queued(self, queue: KeptQueue, expected: str, runs: Sequence[RunUid]) -> list[Row]:
        """Let Runs leave a queue as this session's; see the port."""
        bound = (self._session, queue.name, expected, queue.revision, body_of(queue), list(runs))
        found = self._said("taking Runs out of a queue", "begin_queued", bound).fetchall()
        return first_rows([(RunUid(self._hex(uid)), *row) for uid, *row in found], self._where)

    def purge_queue(self, name: str, message: str, most: int) -> int:
        """Cancel Runs that wait in a queue; see the port."""
        ((count,),) = self._said("emptying a queue", "purge_queue", (name, message, most)).fetchall()
        return int(count)


def _start_of(row: Row) -> QueuedStart:
    started, entry = row.records[0], entry_of(row)
    if not isinstance(started, Started):
        raise InternalError(f"The first record of Run {row.uid} is no start record.")
    function = started.function
    facts = (started.id, function.name, function.version, started.bundle.file, started.digest)
    place = (entry.queue, entry.key, entry.priority, entry.starts_at, entry.deduplicate)
    return QueuedStart(row.uid, row.at, row.epoch, *facts, *place)


def _uid(told: str) -> RunUid:
    return RunUid(told.replace("-", ""))
