"""What is kept of queues alike whatever the database."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from weftrun.adapters.sql.rows import body_of, records_of
from weftrun.model.errors import InternalError, UsageError
from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, QueueEntry
from weftrun.model.records import Enqueued, Row


def entry_of(row: Row) -> QueueEntry:
    """Return where the first row of a Run places it."""
    for record in row.records:
        if isinstance(record, Enqueued):
            return record.entry
    raise InternalError(f"Run {row.uid} was to be put into a queue, and its first row names none.")


def binding_of(queue: KeptQueue, expected: str) -> dict[str, Any]:
    """Return what statements that change a queue take."""
    return {
        "name": queue.name,
        "revision": queue.revision,
        "is_paused": queue.is_paused,
        "length_max": queue.limits.length_max,
        "body": body_of(queue),
        "expected": expected,
    }


def first_rows(found: Iterable[tuple[RunUid, float, int, bytes]], where: str) -> list[Row]:
    """Return the first rows of Runs from uid, time, epoch and body of each."""
    return [
        Row(uid, 1, at, epoch, records_of(body, f"Record 1 of Run {uid} in {where}")) for uid, at, epoch, body in found
    ]


def check_deletable(name: str, *, is_used: bool) -> None:
    """Raise `UsageError` where Runs of a queue have not ended."""
    if is_used:
        raise UsageError(
            f"Runs wait in the queue {name}, or are under way: `weftrun queue purge {name}` cancels those that wait."
        )
