"""What is asked of a Journal alike whatever the database: statements of the same names, with the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from weftrun.adapters.sql.rows import queue_of, records_of, schedule_of
from weftrun.model.emits import DeliveryStatus, Emitted, Parcel, emit_key
from weftrun.model.errors import JournalCorrupt
from weftrun.model.ids import RunId, RunUid, SessionUid, StepId
from weftrun.model.lease import Session
from weftrun.model.outcomes import Status
from weftrun.model.queues import KeptQueue, QueueCounts, QueueSeen
from weftrun.model.records import Row
from weftrun.model.schedules import KeptSchedule
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import PARKED, QUEUED, Message, RunInfo

_LATER_THAN_ALL = 2**62
_LISTED_BY: Mapping[Status | None, str] = {
    "pending": "list_runs_open",
    "running": "list_runs_open",
    "failed": "list_runs_unsuccessful",
    "cancelled": "list_runs_unsuccessful",
}
Columns = tuple[Any, ...]
Bindings = Sequence[Any] | Mapping[str, Any]


class Reading:
    """What can be asked of a Journal in a SQL database. Subclasses say statements, and how a uid is stored."""

    _session: int | None = None

    def _rows(self, statement: str, bindings: Bindings = ()) -> Sequence[Columns]:
        """Return what a statement that changes nothing finds."""
        raise NotImplementedError

    def _rows_of(self, statement: str, uids: Sequence[RunUid]) -> Iterable[Columns]:
        """Return what a statement finds of these Runs."""
        raise NotImplementedError

    @staticmethod
    def _stored(uid: str) -> Any:
        """Return a uid as the database takes it."""
        raise NotImplementedError

    @staticmethod
    def _hex(stored: Any) -> str:
        """Return a uid that the database gave, as 32 hexadecimal digits."""
        raise NotImplementedError

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of the Run with this id, tombstones included."""
        if not run.isprintable():
            return None  # no Run can have such an id, and no database could be asked for it
        found = self._rows("find_run", (run,))
        return self._info(found[0]) if found else None

    def runs(
        self,
        *,
        status: Status | None = None,
        function: str = "",
        prefix: str = "",
        begins: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> list[RunInfo]:
        """Return Runs, newest first; without tombstones."""
        wanted = {
            "status": status,
            "function": function,
            "prefix": prefix,
            "begins": begins,
            "before": _LATER_THAN_ALL if before is None else before,
            "limit": limit,
        }
        if begins:
            statement = "list_runs_beginning"
        elif prefix:
            statement = "list_runs_with_prefix"
        elif function:
            statement = "list_runs_of_function"
        else:
            statement = _LISTED_BY.get(status, "list_runs")
        return self._infos(self._rows(statement, wanted))

    def open_runs(self) -> list[RunInfo]:
        """Return all Runs that have not ended, oldest first."""
        return self._infos(self._rows("open_runs"))

    def free_runs(self, limit: int, *, due_by: float) -> list[RunInfo]:
        """Return open Runs that no session owns and that are due by this time, oldest first."""
        return self._infos(self._rows("free_runs", {"limit": limit, "due_by": due_by}))

    def parked_runs(self, limit: int) -> list[RunInfo]:
        """Return open Runs that wait for code, oldest first."""
        return self._infos(self._rows("parked_runs", (PARKED, limit)))

    def next_due(self, *, after: float) -> float | None:
        """Return when the next Run that was suspended is due, after this time; None where none is."""
        found = self._rows("next_due", (after,))
        return cast(float, found[0][0]) if found else None

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs; unknown ones are left out."""
        return self._infos(self._rows_of("infos", uids))

    def sessions(self) -> list[Session]:
        """Return all sessions, oldest first."""
        return [Session(SessionUid(self._hex(uid)), *facts) for uid, *facts in self._rows("sessions")]

    def inbox(self) -> list[Message]:
        """Return messages to Runs that have not ended, of one session's if there is one, oldest first."""
        found = self._rows("inbox", {"session": self._session})
        return [Message(id, RunUid(self._hex(run)), *told) for id, run, *told in found]

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted, in the order of commits."""
        return self._emits(self._rows("emitted", (self._stored(run),)))

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that wait, are unknown or were refused, of all Runs, oldest first."""
        return self._emits(self._rows("undelivered", (limit,)))

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Return how many emits of these Runs wait, are unknown or were refused, by Run and by sink."""
        left: dict[RunUid, dict[str, int]] = {}
        for uid, sink, count in self._rows_of("emits_left", uids):
            left.setdefault(RunUid(self._hex(uid)), {})[sink] = count
        return left

    def schedules(self) -> list[KeptSchedule]:
        """Return all schedules, by their ids."""
        return self._schedules(self._rows("schedules"))

    def schedule(self, id: str) -> KeptSchedule | None:
        """Return the schedule with this id."""
        found = self._schedules(self._rows("schedule", (id,))) if id.isprintable() else []
        return found[0] if found else None

    def schedules_by(self, now: float, *, set_back_s: float) -> list[KeptSchedule]:
        """Return the schedules that must be looked at by now, and the one that must be next."""
        return self._schedules(self._rows("schedules_by", {"now": now, "latest": now + set_back_s}))

    @staticmethod
    def _schedules(found: Iterable[Columns]) -> list[KeptSchedule]:
        return [schedule_of(body, f"The schedule {id}") for id, body in found]

    def queues(self) -> list[QueueCounts]:
        """Return all queues by their names, with what is in them."""
        return [QueueCounts(self._queue(name, body), *counts) for name, body, *counts in self._rows("queues")]

    def queue(self, name: str) -> KeptQueue | None:
        """Return the queue with this name."""
        found = self._rows("queue", (name,)) if name.isprintable() else []
        return self._queue(*found[0]) if found else None

    def queues_seen(self) -> list[QueueSeen]:
        """Return the queues that are not paused and in which Runs wait."""
        return [QueueSeen(name, bool(waits), next_at) for name, waits, next_at in self._rows("queues_seen")]

    @staticmethod
    def _queue(name: str, body: bytes) -> KeptQueue:
        return queue_of(body, f"The queue {name}")

    def _infos(self, found: Iterable[Columns]) -> list[RunInfo]:
        """Make RunInfos of the columns that all statements on Runs select."""
        return [self._info(columns) for columns in found]

    def _info(self, columns: Columns) -> RunInfo:
        (
            id, uid, function, status, started_at, ended_at, epoch, takeovers, digest, version, file, deleted,
            owner, place, due_at, lives, rests, queue,
        ) = columns  # fmt: skip
        if ended_at is None and due_at >= QUEUED:
            status = "pending"
        return RunInfo(
            id=RunId(id),
            uid=RunUid(self._hex(uid)),
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
            owner=SessionUid("" if owner is None else self._hex(owner)),
            due_at=due_at,
            lives=lives,
            place=place,
            rests=rests,
            queue=queue,
        )

    def _emits(self, found: Iterable[Columns]) -> list[Emitted]:
        """Make Emitteds of the columns that all statements on the outbox select."""
        return [
            Emitted(
                RunId(id),
                emit_key(RunUid(self._hex(uid)), StepId(step), n),
                StepId(step),
                sink,
                order_by,
                DeliveryStatus(delivery_status),
                at,
                delivery_status_at,
                why,
            )
            for id, uid, step, n, sink, order_by, delivery_status, at, delivery_status_at, why in found
        ]

    def _parcel(self, sink: str, columns: Columns) -> Parcel:
        """Make a Parcel of the columns that are taken out of the outbox."""
        place, id, uid, step, n, payload, type, order_by, at, tried_at = columns
        run = RunUid(self._hex(uid))
        return Parcel(place, RunId(id), run, StepId(step), n, sink, payload, type, order_by, at, tried_at)


def rows_of(
    uid: RunUid, id: str, stored: Iterable[tuple[int, float, int, bytes]], where: str, first: int = 1
) -> list[Row]:
    """Return the rows of a Run from seq, time, epoch and body of each; `JournalCorrupt` names what can't be read."""
    rows = []
    for place, (seq, at, epoch, body) in enumerate(stored, first):
        if seq != place:
            raise JournalCorrupt(f"{where} is damaged: Run {id} has no record {place}. Restore it from a backup.")
        rows.append(Row(uid, seq, at, epoch, records_of(body, f"Record {seq} of Run {id} in {where}")))
    return rows


def drawn_hash_seed(entropy: Entropy) -> int:
    """Draw the hash seed of a new Journal: what PYTHONHASHSEED takes, without 0, which turns randomisation off."""
    return int(entropy.uid()[:8], 16) % (2**32 - 1) + 1
