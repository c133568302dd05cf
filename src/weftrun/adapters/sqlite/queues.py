"""Queues in a SQLite Journal (port Queues): the part that keeps Runs until there is a place for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import apsw

from weftrun.adapters.sql.queues import binding_of, check_deletable, entry_of, first_rows
from weftrun.adapters.sql.rows import body_of
from weftrun.adapters.sqlite.heads import start_binding
from weftrun.adapters.sqlite.outbox import SqliteOutbox
from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, NotQueued, QueueEntry, QueueLane, QueueLanes, QueueNow
from weftrun.model.records import Row
from weftrun.ports.journal import PARKED


class SqliteQueues(SqliteOutbox):
    """Puts Runs into queues and lets them out. Subclasses own the connection."""

    _heads: dict[RunUid, Any]

    def put_queue(self, queue: KeptQueue, expected: str) -> bool:
        """Put a queue in the place of one revision of it; see the port."""
        return self._transact("changing a queue", lambda connection: _put(connection, queue, expected))

    def delete_queue(self, name: str) -> bool:
        """Delete a queue in which no Run is; say whether it was there."""

        def work(connection: apsw.Connection) -> bool:
            ((is_used,),) = connection.execute(SQL["queue_is_used"], (name,)).fetchall()
            check_deletable(name, is_used=bool(is_used))
            connection.execute(SQL["delete_queue"], (name,))
            return connection.changes() == 1

        return self._transact("deleting a queue", work)

    def enqueue(self, rows: Sequence[Row], now: float) -> Mapping[RunUid, NotQueued]:
        """Put Runs into their queues; see the port."""

        def work(connection: apsw.Connection) -> Mapping[RunUid, NotQueued]:
            refused = {row.uid: _enqueued(connection, row, entry_of(row), now) for row in rows}
            return {uid: refusal for uid, refusal in refused.items() if refusal is not None}

        return self._transact("putting Runs into a queue", work)

    def ripen(self, name: str, now: float) -> None:
        """Let Runs wait that were delayed until now."""
        self._transact("ripening", lambda connection: connection.execute(SQL["ripen"], (name, now)))

    def queue_now(self, name: str) -> QueueNow | None:
        """Return a queue with what is under way; see the port."""
        queue = self.queue(name)  # before anything is counted
        if queue is None:
            return None
        return QueueNow(queue, dict(cast(Sequence[tuple[str, int]], self._rows("queue_under_way", (name,)))))

    def lanes(self, queue: KeptQueue, skip: Sequence[str], most: int) -> QueueLanes:
        """Return who waits, in the order of their turns; see the port."""
        found: list[tuple[int, str]] = []
        left_out, turns = frozenset(skip), dict(queue.turns)
        priority = -1
        is_complete = True
        while is_complete:
            levels = self._rows("next_priority", (queue.name, priority))
            if not levels:
                break
            ((priority,),) = levels
            for key in self._ring(queue.name, priority, turns.get(priority)):
                if len(found) == most:
                    is_complete = False
                    break
                if key not in left_out:
                    found.append((priority, key))
        each = -(-2 * most // len(found)) if found else 0
        lanes = [self._lane(queue.name, *lane, each) for lane in found]
        return QueueLanes(tuple(lanes), is_complete)

    def _ring(self, name: str, priority: int, last: str | None) -> Iterator[str]:
        """Yield the keys of a priority, from the one after `last`, once round."""
        key = last
        while (key := self._next_key(name, priority, key)) is not None:
            yield key
        while last is not None and (key := self._next_key(name, priority, key)) is not None and key <= last:
            yield key

    def _next_key(self, name: str, priority: int, key: str | None) -> str | None:
        after = () if key is None else (key,)
        found = self._rows("next_key" if after else "first_key", (name, priority, *after))
        return cast(str, found[0][0]) if found else None

    def _lane(self, name: str, priority: int, key: str, most: int) -> QueueLane:
        uids = tuple(RunUid(self._hex(uid)) for (uid,) in self._rows("lane", (name, priority, key, most)))
        return QueueLane(priority, key, uids, has_more=len(uids) == most)

    def begin_queued(self, queue: KeptQueue, expected: str, runs: Sequence[RunUid]) -> list[Row]:
        """Let Runs leave a queue as this session's; see the port."""

        def work(connection: apsw.Connection) -> list[Row]:
            self._check_session(connection, renew=True)
            stored = [(uid, bytes.fromhex(uid)) for uid in runs]
            if _put(connection, queue, expected, once=True):
                for uid, key in stored:
                    self._heads.pop(uid, None)
                    connection.execute(SQL["leave_queue"], (key,))
                    if connection.changes():
                        connection.execute(SQL["begin_queued"], (key, self._session))
            begun = [(uid, connection.execute(SQL["begun"], (key, self._session)).fetchone()) for uid, key in stored]
            return first_rows([(uid, *row) for uid, row in begun if row is not None], str(self._path))

        return self._transact("taking Runs out of a queue", work)

    def purge_queue(self, name: str, message: str, most: int) -> int:
        """Cancel Runs that wait in a queue; see the port."""

        def work(connection: apsw.Connection) -> int:
            found = connection.execute(SQL["oldest_waiting"], (name, most)).fetchall()
            for key, uid in found:
                told = (f"{message}/{self._hex(cast(bytes, uid))}", key, "cancel", "", 0.0, b"")
                connection.execute(SQL["post_message"], told)
                connection.execute(SQL["wake"], (key, "cancel", PARKED))
                connection.execute(SQL["take_out"], (key,))
            return len(found)

        return self._transact("emptying a queue", work)


def _put(connection: apsw.Connection, queue: KeptQueue, expected: str, *, once: bool = False) -> bool:
    """Change a queue's row; with `once` say whether this did, else whether it stands there now."""
    connection.execute(SQL["change_queue" if expected else "add_queue"], binding_of(queue, expected))
    if connection.changes() == 1:
        return True
    return (
        not once and connection.execute(SQL["has_queue_revision"], (queue.name, queue.revision)).fetchone() is not None
    )


def _enqueued(connection: apsw.Connection, row: Row, entry: QueueEntry, now: float) -> NotQueued | None:
    """Put one Run into its queue, or return why not."""
    uid = bytes.fromhex(row.uid)
    if connection.execute(SQL["run_key"], (uid,)).fetchone() is not None:
        return None  # a try of which nothing was known
    queue = connection.execute(SQL["queue_length"], (entry.queue,)).fetchone()
    if queue is None:
        return NotQueued("missing")
    if entry.deduplicate:
        found = connection.execute(SQL["duplicate"], (entry.queue, entry.deduplicate)).fetchone()
        if found is not None:
            return NotQueued("duplicate", run=RunUid(cast(bytes, found[0]).hex()))
    length_max, length = cast(tuple[int | None, int], queue)
    if length_max is not None and length >= length_max:
        return NotQueued("full", length)
    made = connection.execute(SQL["start_queued"], (*start_binding(row, body_of(row.records)), entry.queue)).fetchone()
    if made is None:
        return NotQueued("taken")
    standing = 0 if entry.starts_at > now else 1
    connection.execute(
        SQL["add_entry"],
        (made[0], entry.queue, entry.key, entry.priority, standing, entry.starts_at, entry.deduplicate),
    )
    return None
