"""Layers over the ports that make every call a point of `faults`. Nothing here knows an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from weftrun.model.emits import Emitted, Take, Verdict
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId
from weftrun.model.lease import Session
from weftrun.model.messages import ToSandbox
from weftrun.model.outcomes import Status
from weftrun.model.places import PlaceShare, PlaceShares
from weftrun.model.queues import KeptQueue, NotQueued, QueueCounts, QueueLanes, QueueNow, QueueSeen
from weftrun.model.records import Row
from weftrun.model.schedules import KeptSchedule
from weftrun.model.values import Blob
from weftrun.ports.blobs import Blobs
from weftrun.ports.journal import Appended, Journal, JournalMeta, Message, Posted, Rest, RunInfo
from weftrun.ports.outbox import TakenEmits
from weftrun.ports.sandboxes import Profile, Progress, Sandboxes, SandboxEvents
from weftrun.ports.trace import Trace, TraceRow
from weftrun.runtime.journal_queue import AGAIN
from weftrun.testing.sim.faults import Faults, FaultTarget
from weftrun.testing.sim.register import View


class FaultyJournal:
    """A Journal whose calls are points. It also tells what is committed, for oracles that look during the Run."""

    def __init__(self, inner: Journal, faults: Faults, process: FaultTarget, view: View) -> None:
        """Wrap `inner`, which `process` uses; `view` is told of everything that really happened."""
        self._inner = inner
        self._faults = faults
        self._process = process
        self._view = view

    def _write(self, name: str, call: Callable[[], None]) -> None:
        try:
            self._faults.around(name, call, self._process)
        except AGAIN:
            self._view.disturbed()  # what it was to do, and all that is written asynchronously it, comes later
            raise

    def meta(self) -> JournalMeta:
        """Return the facts of the Journal."""
        return self._inner.meta()

    def begin(self, session: Session) -> None:
        """Make a session, with what is planned for this call."""

        def begin() -> None:
            self._inner.begin(session)
            self._view.began(session)

        self._write("journal.begin", begin)

    def append(self, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:
        """Append, with what is planned for this call."""
        appended: list[Appended] = []

        def append() -> None:
            appended.append(self._inner.append(rows, renew=renew, waits=waits))
            self._view.appended(rows, appended[0], renew=renew)

        self._write("journal.append", append)
        return appended[0]

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of a Run, with what is planned for this call."""
        found: list[RunInfo | None] = []
        self._faults.around("journal.find", lambda: found.append(self._inner.find(run)), self._process)
        return found[0]

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
        """Return Runs, newest first."""
        return self._inner.runs(
            status=status, function=function, prefix=prefix, begins=begins, before=before, limit=limit
        )

    def open_runs(self) -> list[RunInfo]:
        """Return all Runs that have not ended."""
        return self._inner.open_runs()

    def load(self, uid: RunUid) -> list[Row]:
        """Load a Run, with what is planned for this call."""
        self._faults.around("journal.load", lambda: self._view.reads(uid), self._process)
        return self._inner.load(uid)

    def newer(self, uid: RunUid, after: int, limit: int) -> list[Row]:
        """Return later rows of a Run."""
        return self._inner.newer(uid, after, limit)

    def free_runs(self, limit: int, *, due_by: float) -> list[RunInfo]:
        """Return Runs that no session owns."""
        return self._inner.free_runs(limit, due_by=due_by)

    def next_due(self, *, after: float) -> float | None:
        """Return when the next Run that was suspended is due."""
        return self._inner.next_due(after=after)

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """Suspend Runs, with what is planned for this call."""

        def suspend() -> None:
            self._inner.suspend(waiting)
            self._view.suspend(waiting)

        self._write("journal.suspend", suspend)

    def infos(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Return what is known of these Runs."""
        return self._inner.infos(uids)

    def sessions(self) -> list[Session]:
        """Return all sessions, with what is planned for this call."""
        listed: list[Session] = []
        self._faults.around("journal.look", lambda: listed.extend(self._inner.sessions()), self._process)
        return listed

    def claim(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Take Runs over, with what is planned for this call."""
        claimed: list[list[RunInfo]] = []

        def claim() -> None:
            claimed.append(self._inner.claim(uids))
            self._view.claimed(claimed[0])

        self._write("journal.claim", claim)
        return claimed[0]

    def retry(self, uid: RunUid, life: int, at: float) -> bool:
        """Begin another life of a Run, with what is planned for this call."""
        begun: list[bool] = []

        def retry() -> None:
            begun.append(self._inner.retry(uid, life, at))
            self._view.retried(uid, self._inner.load(uid))

        self._write("journal.retry", retry)
        return begun[0]

    def parked_runs(self, limit: int) -> list[RunInfo]:
        """Return open Runs that wait for code."""
        return self._inner.parked_runs(limit)

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free Runs in good order."""
        self._faults.check_lock("put_back", self._process)
        self._inner.put_back(uids)
        self._view.put_back(uids)

    def declare_dead(self, session: Session) -> bool:
        """Remove a dead session, with what is planned for this call."""
        declared_dead: list[bool] = []

        def declare_dead() -> None:
            declared_dead.append(self._inner.declare_dead(session))
            if declared_dead[0]:
                self._view.declared_dead(session)

        self._write("journal.declare_dead", declare_dead)
        return declared_dead[0]

    def leave(self) -> None:
        """Remove the own session."""
        self._faults.check_lock("leave", self._process)
        self._inner.leave()
        self._view.left()

    def post(self, message: Message, *, signals_max: int = 10_000) -> Posted:
        """Put a message into the inbox, a signal with what is planned for this call."""
        posted: list[Posted] = []

        def post() -> None:
            posted.append(self._inner.post(message, signals_max=signals_max))
            self._view.posted(message, posted[0])

        if message.kind == "signal":
            self._write("journal.post", post)
        else:
            post()
        return posted[0]

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages that were taken."""
        self._faults.check_lock("drop_messages", self._process)
        self._inner.drop_messages(ids)

    def inbox(self) -> list[Message]:
        """Return messages to open Runs."""
        return self._inner.inbox()

    def delete(self, run: RunId, *, forget: bool) -> RunInfo | None:
        """Delete an ended Run."""
        return self._inner.delete(run, forget=forget)

    def delete_ended(self, uids: Sequence[RunUid], *, before: float, forget: bool) -> list[RunUid]:
        """Delete ended Runs."""
        gone = self._inner.delete_ended(uids, before=before, forget=forget)
        self._view.deleted(gone, before=before)
        return gone

    def blobs_named(self) -> set[str]:
        """Return the name of every blob that a record names."""
        return self._inner.blobs_named()

    def take_emits(self, take: Take) -> TakenEmits:
        """Take emits out, with what is planned for this call."""
        taken: list[TakenEmits] = []

        def take_out() -> None:
            taken.append(self._inner.take_emits(take))
            self._view.took(take, taken[0])

        self._write("outbox.take", take_out)
        return taken[0]

    def settle_emits(self, sink: str, verdicts: Sequence[Verdict], at: float) -> bool:
        """Say how it stands with emits, with what is planned for this call."""
        settled: list[bool] = []

        def settle() -> None:
            settled.append(self._inner.settle_emits(sink, verdicts, at))
            self._view.settled(sink, owned=settled[0])

        self._write("outbox.settle", settle)
        return settled[0]

    def sinks_left(self, names: Sequence[str]) -> list[str]:
        """Return those of these sinks for which nobody delivers."""
        return self._inner.sinks_left(names)

    def emitted(self, run: RunUid) -> list[Emitted]:
        """Return what a Run has emitted."""
        return self._inner.emitted(run)

    def undelivered(self, limit: int) -> list[Emitted]:
        """Return emits that are not delivered."""
        return self._inner.undelivered(limit)

    def emits_left(self, uids: Sequence[RunUid]) -> dict[RunUid, dict[str, int]]:
        """Tell what is not delivered of some Runs."""
        return self._inner.emits_left(uids)

    def decide_emit(self, key: str, *, send: bool, at: float) -> bool:
        """Let an emit be sent again, or drop it."""
        return self._inner.decide_emit(key, send=send, at=at)

    def schedules(self) -> list[KeptSchedule]:
        """Return all schedules."""
        return self._inner.schedules()

    def schedule(self, id: str) -> KeptSchedule | None:
        """Return a schedule."""
        return self._inner.schedule(id)

    def schedules_by(self, now: float, *, set_back_s: float) -> Sequence[KeptSchedule]:
        """Return the schedules that must be looked at, and the one that must be next."""
        return self._inner.schedules_by(now, set_back_s=set_back_s)

    def put_schedule(self, schedule: KeptSchedule, expected: str) -> bool:
        """Change a schedule, with what is planned for this call."""
        put: list[bool] = []

        def change() -> None:
            put.append(self._inner.put_schedule(schedule, expected))
            if put[0]:
                self._view.schedule_changed(schedule, expected)

        self._write("journal.schedule", change)
        return put[0]

    def delete_schedule(self, id: str) -> bool:
        """Delete a schedule."""
        return self._inner.delete_schedule(id)

    def queues(self) -> list[QueueCounts]:
        """Return all queues."""
        return self._inner.queues()

    def queue(self, name: str) -> KeptQueue | None:
        """Return a queue."""
        return self._inner.queue(name)

    def queues_seen(self) -> list[QueueSeen]:
        """Return the queues in which Runs wait."""
        return self._inner.queues_seen()

    def queue_now(self, name: str) -> QueueNow | None:
        """Return a queue and what is under way, with what is planned for this call."""
        found: list[QueueNow | None] = []
        self._faults.around("journal.queue_now", lambda: found.append(self._inner.queue_now(name)), self._process)
        return found[0]

    def lanes(self, queue: KeptQueue, skip: Sequence[str], most: int) -> QueueLanes:
        """Return who waits."""
        return self._inner.lanes(queue, skip, most)

    def put_queue(self, queue: KeptQueue, expected: str) -> bool:
        """Change a queue, with what is planned for this call."""
        put: list[bool] = []

        def change() -> None:
            put.append(self._inner.put_queue(queue, expected))
            if put[0]:
                self._view.queue_changed(queue, expected)

        self._write("journal.queue", change)
        return put[0]

    def delete_queue(self, name: str) -> bool:
        """Delete a queue."""
        return self._inner.delete_queue(name)

    def enqueue(self, rows: Sequence[Row], now: float) -> Mapping[RunUid, NotQueued]:
        """Put Runs into their queues, with what is planned for this call."""
        refused: list[Mapping[RunUid, NotQueued]] = []

        def enqueue() -> None:
            refused.append(self._inner.enqueue(rows, now))
            self._view.enqueued(rows, refused[0])

        self._write("journal.enqueue", enqueue)
        return refused[0]

    def ripen(self, name: str, now: float) -> None:
        """Let Runs wait that were delayed."""
        self._inner.ripen(name, now)

    def begin_queued(self, queue: KeptQueue, expected: str, runs: Sequence[RunUid]) -> list[Row]:
        """Let Runs leave a queue, with what is planned for this call."""
        begun: list[list[Row]] = []

        def begin() -> None:
            begun.append(self._inner.begin_queued(queue, expected, runs))
            there = self._inner.queue(queue.name)
            if there is not None and there.revision == queue.revision:  # also where all that were to leave are gone
                self._view.queue_changed(queue, expected, begun[0])

        self._write("journal.begin_queued", begin)
        return begun[0]

    def purge_queue(self, name: str, message: str, most: int) -> int:
        """Cancel Runs that wait in a queue."""
        purged = self._inner.purge_queue(name, message, most)
        self._view.purged(name)
        return purged

    def place_shares(self, function: str) -> PlaceShares:
        """Return what engines have of a Function's limit."""
        return self._inner.place_shares(function)

    def put_share(self, function: str, share: PlaceShare, expected: str, revision: str) -> bool:
        """Change a share, with what is planned for this call."""
        put: list[bool] = []
        self._write("journal.share", lambda: put.append(self._inner.put_share(function, share, expected, revision)))
        return put[0]

    def close(self) -> None:
        """Close the Journal."""
        self._inner.close()


class FaultyBlobs:
    """Blobs whose `put` is a point."""

    def __init__(self, inner: Blobs, faults: Faults, process: FaultTarget) -> None:
        """Wrap `inner`, which `process` uses."""
        self._inner = inner
        self._faults = faults
        self._process = process
        self.open = inner.open
        self.verify = inner.verify
        self.names = inner.names
        self.remove = inner.remove

    def put(self, descriptor: int, nbytes: int) -> Blob:
        """Store bytes, with what is planned for this call."""
        stored: list[Blob] = []
        self._faults.around("blobs.put", lambda: stored.append(self._inner.put(descriptor, nbytes)), self._process)
        return stored[0]


class FaultyTrace:
    """A Trace whose `write` is a point."""

    def __init__(self, inner: Trace, faults: Faults, process: FaultTarget) -> None:
        """Wrap `inner`, which `process` uses."""
        self._inner = inner
        self._faults = faults
        self._process = process
        self.read = inner.read
        self.show_running = inner.show_running
        self.end_running = inner.end_running
        self.running = inner.running
        self.show_workers = inner.show_workers
        self.workers = inner.workers
        self.delete = inner.delete
        self.close = inner.close

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows, with what is planned for this call."""
        self._faults.around("trace.write", lambda: self._inner.write(rows), self._process)


class FaultySandboxes:
    """Sandboxes whose calls are points."""

    def __init__(self, inner: Sandboxes, faults: Faults, process: FaultTarget) -> None:
        """Wrap `inner`, which `process` uses."""
        self._inner = inner
        self._faults = faults
        self._process = process

    def listen(self, events: SandboxEvents) -> None:
        """Say whom to tell."""
        self._inner.listen(events)

    def create(self, sandbox: SandboxId, profile: Profile) -> None:
        """Begin to make a Sandbox, with what is planned for this call."""
        self._faults.around("sandboxes.create", lambda: self._inner.create(sandbox, profile), self._process)

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """Send a message, with what is planned for this call."""
        self._faults.around("sandboxes.send", lambda: self._inner.send(sandbox, message), self._process)

    def hold_until(self, at: float) -> None:
        """Let bodies be entered until then, with what is planned for this call."""
        self._faults.around("sandboxes.hold", lambda: self._inner.hold_until(at), self._process)

    def fence(self) -> None:
        """Let no body be entered any more in the Sandboxes that were made so far."""
        self._inner.fence()

    def let(self, batch: int) -> None:
        """Let a prepared Batch be entered, with what is planned for this call."""
        self._faults.around("sandboxes.let", lambda: self._inner.let(batch), self._process)

    def withdraw(self, batch: int) -> None:
        """Let a prepared Batch be entered never."""
        self._inner.withdraw(batch)

    def progress(self, sandbox: SandboxId) -> Progress:
        """Read the page of a Sandbox."""
        return self._inner.progress(sandbox)

    def kill(self, sandbox: SandboxId, *, says_where: bool = False) -> None:
        """End a Sandbox, with what is planned for this call."""
        self._faults.around("sandboxes.kill", lambda: self._inner.kill(sandbox, says_where=says_where), self._process)

    def held(self, sandbox: SandboxId) -> frozenset[ObjectId]:
        """Return the Objects that a Sandbox holds."""
        return self._inner.held(sandbox)

    def close(self) -> None:
        """End all Sandboxes."""
        self._inner.close()
