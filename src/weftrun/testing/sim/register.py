"""The register: what really became of Runs and sessions in the Journal, kept by the layer over each engine's Journal.

No engine is asked: what breaks a rule of ownership is written down where it happens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from weftrun.model.emits import Take
from weftrun.model.ids import RunId, RunUid, SessionUid
from weftrun.model.lease import Session
from weftrun.model.queues import KeptQueue, NotQueued
from weftrun.model.records import Ended, Row, Started
from weftrun.model.schedules import KeptSchedule
from weftrun.ports.journal import Appended, Message, Posted, Rest, RunInfo
from weftrun.ports.outbox import TakenEmits
from weftrun.testing.sim.awaiting import Calm, Kept
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.memory import MemoryBlobs
from weftrun.testing.sim.queued import QueueRegister
from weftrun.testing.sim.scheduled import ScheduleRegister

_FREE_S = 5.0
"""A Run that is free is claimed within this time where nothing goes wrong meanwhile, if its engines are quick."""


@dataclass
class Known:
    """A session.

    Attributes:
        engine: number of the process.
        heartbeat_at: when it raised its heartbeat last.
        declared_dead: whether it is gone from the Journal.
    """

    engine: int
    ttl_s: float
    heartbeat_at: float
    declared_dead: bool = False


class Register:
    """Facts of a whole world.

    Attributes:
        rows: committed rows by Run.
        blobs_at: the blobs that were durable when each of them committed.
        broken: rules of ownership that were broken, as sentences.
        slow_s: how much longer a claim may take since the Journal is slow.
        calm_since: when the last thing happened that may keep a Run from being claimed.
        dead: numbers of processes that have ended.
        signals: what inboxes have taken, by Run, in their order.
        calm: what may have kept an engine from each row, as it was committed.
        queues, schedules: what became of them.
        deleted: Runs that were deleted; `deleted_early` tells of those that should not have been.
        taken_at: when each emit was first taken out of the outbox to be sent, or marked as if it was, by its key.
    """

    def __init__(self, ledger: Ledger, blobs: MemoryBlobs, now: Callable[[], float]) -> None:
        """Begin with an empty Journal; owners and numbers of rows are told to the ledger too."""
        self.rows: dict[RunUid, list[Row]] = {}
        self.blobs_at: dict[RunUid, list[frozenset[str]]] = {}
        self.broken: list[str] = []
        self.slow_s = 0.0
        self.calm_since = now()
        self.dead: set[int] = set()
        self.taken_at: dict[str, float] = {}
        self.signals: dict[RunUid, dict[str, Kept]] = {}
        self.calm: dict[tuple[RunUid, int], Calm] = {}
        self.queues = QueueRegister(now)
        self.schedules = ScheduleRegister(lambda id: any(rows and _id_of(rows) == id for rows in self.rows.values()))
        self.deleted: set[RunUid] = set()
        self.deleted_early: list[str] = []
        self._declared_at = now()
        self.watchers: list[Callable[[Row], None]] = []
        self._ledger = ledger
        self._blobs = blobs
        self._now = now
        self._sessions: dict[SessionUid, Known] = {}
        self._owners: dict[RunUid, SessionUid] = {}
        self._epochs: dict[RunUid, int] = {}
        self._free_since: dict[RunUid, float] = {}
        self._claimed_at: dict[RunUid, float] = {}
        self._sinks: dict[str, SessionUid] = {}

    def disturbed(self) -> None:
        """Something happened that may keep engines from looking around."""
        self.calm_since = self._now()

    # ------------------------------------------------------------------ told by views

    def began(self, engine: int, session: Session) -> None:
        """A session is in the Journal."""
        self._sessions[session.uid] = Known(engine, session.ttl_s, self._now())

    def appended(self, session: SessionUid, rows: Sequence[Row], appended: Appended, *, renew: bool) -> None:
        """Rows were committed, but those of some Runs; the caller may have appended some of them before."""
        durable = frozenset(self._blobs.names())
        known = self._sessions.get(session)
        if known is not None:
            if known.declared_dead:
                self.broken.append(f"O2: engine {known.engine} appended under a session that was declared dead")
            if renew:
                known.heartbeat_at = self._now()
        for row in rows:
            kept = self.rows.setdefault(row.uid, [])
            if row.uid in appended.taken | appended.lost or row.seq != len(kept) + 1:
                continue
            self._check_row(session, row)
            kept.append(row)
            self.calm[row.uid, row.seq] = Calm(
                max(self.calm_since, self._declared_at), self._claimed_at.get(row.uid, 0.0)
            )
            self.blobs_at.setdefault(row.uid, []).append(durable)
            self._ledger.committed[row.uid] = row.seq
            for watch in self.watchers:
                watch(row)
            if isinstance(row.records[-1], Ended):
                self._ledger.owners.pop(row.uid, None)
                self._owners.pop(row.uid, None)
                self.queues.ended(row.uid)

    def _check_row(self, session: SessionUid, row: Row) -> None:
        if row.seq == 1:
            self._own(session, row.uid)
            if not session:
                self._free_since[row.uid] = self._now()
        epoch = self._epochs.setdefault(row.uid, row.epoch)
        # An engine that left has no session; what it still had to say may land before anybody claims the Run.
        if self._owners.get(row.uid) != session:
            engine, owner = self._engine(session), self._ledger.owners.get(row.uid)
            self.broken.append(f"O2: row {row.seq} of {row.uid[:6]} is engine {engine}'s, the Run engine {owner}'s")
        if row.epoch != epoch:
            self.broken.append(f"O2: row {row.seq} of {row.uid[:6]} has epoch {row.epoch}, the Run {epoch}")

    def _own(self, session: SessionUid, uid: RunUid) -> None:
        self._owners[uid] = session
        self._ledger.owners[uid] = self._engine(session)

    def _engine(self, session: SessionUid) -> int:
        known = self._sessions.get(session)
        return known.engine if known is not None else 0

    def retried(self, session: SessionUid, uid: RunUid, rows: Sequence[Row]) -> None:
        """Another life of a Run has begun, which is the session's then; one that had begun before brings no row."""
        kept = self.rows[uid]
        for row in rows[len(kept) :]:
            kept.append(row)
            self.blobs_at[uid].append(frozenset(self._blobs.names()))
            self._ledger.committed[uid] = row.seq
            self._epochs[uid] = row.epoch
            self._free_since.pop(uid, None)
            self._own(session, uid)
            if not session:
                self._free_since[uid] = self._now()

    def enqueued(self, rows: Sequence[Row], refused: Mapping[RunUid, NotQueued]) -> None:
        """Runs were put into queues: they are nobody's, and nobody may claim them."""
        for row in self.queues.enqueued(rows, refused):
            self.rows[row.uid] = [row]
            self.blobs_at[row.uid] = [frozenset(self._blobs.names())]
            self.calm[row.uid, row.seq] = Calm(max(self.calm_since, self._declared_at), 0.0)
            self._ledger.committed[row.uid] = row.seq
            self._epochs[row.uid] = row.epoch
            self._owners[row.uid] = SessionUid("")
            self._ledger.owners[row.uid] = 0

    def left_queue(self, session: SessionUid, queue: KeptQueue, rows: Sequence[Row]) -> None:
        """Runs have left a queue, and are a session's, which has raised its heartbeat."""
        self._sessions[session].heartbeat_at = self._now()
        for uid in self.queues.began(self._engine(session), queue, [row.uid for row in rows]):
            self._claimed_at[uid] = self._now()
            self._own(session, uid)

    def out_of_queue(self, uids: Sequence[RunUid]) -> None:
        """Runs are to be cancelled that had waited in a queue: they are free now."""
        for uid in uids:
            self._free_since[uid] = self._now()

    def gone(self, uids: Sequence[RunUid], *, before: float) -> None:
        """Runs were deleted, which must have ended before a time."""
        for uid in uids:
            ended = [row.at for row in self.rows[uid][-1:] if isinstance(row.records[-1], Ended)]
            if not ended or ended[0] >= before:
                self.deleted_early.append(f"retention: {uid[:6]} was deleted, and had not ended {before:.3f}")
            self.deleted.add(uid)

    def keeps(self, message: Message) -> None:
        """A signal is in an inbox; one that was sent before has its place, or was taken (L1)."""
        kept = self.signals.setdefault(message.run, {})
        kept.setdefault(message.id, Kept(message.name, self._now()))

    def claimed(self, session: SessionUid, infos: Sequence[RunInfo], *, adopts: bool) -> None:
        """Free Runs were taken over, and the session has raised its heartbeat."""
        engine, now = self._engine(session), self._now()
        self._sessions[session].heartbeat_at = now
        for info in infos:
            if self._owners.get(info.uid) == session and self._epochs[info.uid] == info.epoch:
                continue  # said again, since the reply was lost
            since = self._free_since.pop(info.uid, None)
            if since is None:
                owner = self._ledger.owners.get(info.uid)
                self.broken.append(f"O1: engine {engine} claimed {info.id}, which engine {owner} owned")
            elif adopts and now - max(since, self.calm_since) > _FREE_S + self.slow_s:
                self.broken.append(f"O1: {info.id} was free for {now - since:.1f} s, though engines looked for Runs")
            if info.epoch <= self._epochs.get(info.uid, 0):
                self.broken.append(f"O1: the epoch of {info.id} was {self._epochs[info.uid]}, and then {info.epoch}")
            self._epochs[info.uid] = info.epoch
            self._claimed_at[info.uid] = now
            self._own(session, info.uid)

    def declared_dead(self, engine: int, session: Session) -> None:
        """A session was taken for dead."""
        known = self._sessions[session.uid]
        known.declared_dead = True
        self._declared_at = self._now()
        silent_s = self._now() - known.heartbeat_at
        if known.engine not in self.dead and silent_s < known.ttl_s:
            self.broken.append(
                f"O1: engine {engine} declared engine {known.engine}, which renewed {silent_s:.3f} s before"
            )
        self.left(session.uid)

    def left(self, session: SessionUid) -> None:
        """All Runs of a session are free; one that has begun no session had none."""
        if not session:
            return
        self.freed(session, [uid for uid, owner in self._owners.items() if owner == session])
        self._sinks = {sink: owner for sink, owner in self._sinks.items() if owner != session}

    def freed(self, session: SessionUid, uids: Sequence[RunUid], due_at: float = 0.0) -> None:
        """Those of these Runs that a session owned are free, or will be when they are due."""
        for uid in uids:
            if self._owners.get(uid) == session:
                self._owners[uid] = SessionUid("")
                self._ledger.owners[uid] = 0
                self._free_since[uid] = max(self._now(), due_at)

    def woken(self, uid: RunUid) -> None:
        """A Run that was suspended until it is due is free now."""
        if uid in self._free_since:
            self._free_since[uid] = min(self._free_since[uid], self._now())

    def read(self, engine: int, uid: RunUid) -> None:
        """An engine knows from now on what is on record of a Run, and no more."""
        openings = self._ledger.openings
        openings[engine, uid] = openings.get((engine, uid), 0) + 1

    # ------------------------------------------------------------------ sinks

    def took(self, session: SessionUid, take: Take, taken: TakenEmits) -> None:
        """An engine looked what is to be sent to a sink (which raises its heartbeat), and may deliver from now on."""
        sink = take.sink
        self._sessions[session].heartbeat_at = self._now()
        for parcel in taken.parcels:
            self.taken_at.setdefault(parcel.key, take.mark_at or self._now())
        if not taken.owned:
            self.settled(session, sink, owned=False)
            return
        owner = self._sinks.setdefault(sink, session)
        if owner != session:
            self.broken.append(
                f"E2: engine {self._engine(session)} took over {sink!r}, which engine {self._engine(owner)} owned"
            )
            self._sinks[sink] = session

    def settled(self, session: SessionUid, sink: str, *, owned: bool) -> None:
        """An engine said what became of emits, and may have left the sink."""
        if not owned and self._sinks.get(sink) == session:
            del self._sinks[sink]

    def sends(self, session: SessionUid, engine: int, sink: str, key: str) -> None:
        """An engine begins to send a message, which nobody may but the live owner of the sink."""
        owner = self._sinks.get(sink)
        if owner != session:
            other = f"engine {self._engine(owner)}" if owner is not None else "nobody"
            self.broken.append(f"E2: engine {engine} began to send {key}, though {other} delivers to {sink!r}")


def _id_of(rows: Sequence[Row]) -> RunId:
    started = rows[0].records[0]
    assert isinstance(started, Started)
    return started.id


class View:
    """What one engine did to the Journal."""

    def __init__(self, register: Register, engine: int, *, adopts: bool) -> None:
        """Tell the register of an engine, by its number; `adopts` says whether it claims free Runs by itself."""
        self._register = register
        self._engine = engine
        self._adopts = adopts
        self._session = SessionUid("")

    def began(self, session: Session) -> None:
        """It has a session."""
        self._session = session.uid
        self._register.began(self._engine, session)

    def appended(self, rows: Sequence[Row], appended: Appended, *, renew: bool) -> None:
        """It appended rows."""
        self._register.appended(self._session, rows, appended, renew=renew)

    def claimed(self, infos: Sequence[RunInfo]) -> None:
        """It took Runs over."""
        self._register.claimed(self._session, infos, adopts=self._adopts)

    def retried(self, uid: RunUid, rows: Sequence[Row]) -> None:
        """It began another life of a Run, which has these rows now."""
        self._register.retried(self._session, uid, rows)

    def declared_dead(self, session: Session) -> None:
        """It declared another one dead."""
        self._register.declared_dead(self._engine, session)

    def took(self, take: Take, taken: TakenEmits) -> None:
        """It looked what is to be sent to a sink."""
        self._register.took(self._session, take, taken)

    def settled(self, sink: str, *, owned: bool) -> None:
        """It said what became of emits."""
        self._register.settled(self._session, sink, owned=owned)

    def sends(self, sink: str, key: str) -> None:
        """It begins to send a message."""
        self._register.sends(self._session, self._engine, sink, key)

    def disturbed(self) -> None:
        """It has just let others write again, or could not write itself."""
        self._register.disturbed()

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """It freed Runs of its own."""
        self._register.freed(self._session, uids)

    def reads(self, uid: RunUid) -> None:
        """It reads a Run."""
        self._register.read(self._engine, uid)

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """It let Runs of its own go until they are due."""
        for uid, rest in waiting.items():
            self._register.freed(self._session, [uid], rest.until)

    def posted(self, message: Message, posted: Posted) -> None:
        """It left a message to a Run."""
        if message.kind == "cancel" and self._register.queues.taken_out(message.run):
            self._register.out_of_queue([message.run])
        self._register.woken(message.run)
        if message.kind == "signal" and posted == "posted":
            self._register.keeps(message)

    def enqueued(self, rows: Sequence[Row], refused: Mapping[RunUid, NotQueued]) -> None:
        """It put Runs into queues."""
        self._register.enqueued(rows, refused)

    def queue_changed(self, queue: KeptQueue, expected: str, begun: Sequence[Row] = ()) -> None:
        """It changed a queue, and let these Runs leave it."""
        if begun:
            self._register.left_queue(self._session, queue, begun)
        self._register.queues.changed(queue, expected)

    def purged(self, queue: str) -> None:
        """It cancelled all Runs that wait in a queue."""
        self._register.out_of_queue(self._register.queues.purged(queue))

    def schedule_changed(self, schedule: KeptSchedule, expected: str) -> None:
        """It changed a schedule."""
        self._register.schedules.changed(schedule, expected)

    def deleted(self, uids: Sequence[RunUid], *, before: float) -> None:
        """It deleted Runs."""
        self._register.gone(uids, before=before)

    def left(self) -> None:
        """It is gone in good order."""
        self._register.left(self._session)
        self._session = SessionUid("")
