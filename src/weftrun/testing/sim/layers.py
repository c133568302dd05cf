"""Layers over the ports that make every call a point of `faults`. Nothing here knows an adapter."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from weftrun.model.emits import Take, Verdict
from weftrun.model.ids import RunId, RunUid, SandboxId
from weftrun.model.lease import Session
from weftrun.model.messages import ToSandbox
from weftrun.model.places import PlaceShare
from weftrun.model.queues import KeptQueue, NotQueued, QueueNow
from weftrun.model.records import Row
from weftrun.model.schedules import KeptSchedule
from weftrun.model.values import Blob
from weftrun.ports.blobs import Blobs
from weftrun.ports.journal import Appended, Journal, Message, Posted, Rest, RunInfo
from weftrun.ports.outbox import TakenEmits
from weftrun.ports.sandboxes import Profile, Sandboxes
from weftrun.ports.trace import Trace, TraceRow
from weftrun.runtime.journal_queue import AGAIN
from weftrun.testing.sim.faults import Faults, FaultTarget
from weftrun.testing.sim.register import View

T = TypeVar("T")


class FaultyJournal:
    """A Journal whose calls are points. It also tells what is committed, for oracles that look during the Run."""

    def __init__(self, inner: Journal, faults: Faults, process: FaultTarget, view: View) -> None:
        """Wrap `inner`, which `process` uses; `view` is told of everything that really happened."""
        self._inner = inner
        self._faults = faults
        self._process = process
        self._view = view
        # What only looks, or is a client's, is no point.
        self.meta, self.close = inner.meta, inner.close
        self.runs, self.open_runs, self.free_runs, self.infos = (
            inner.runs, inner.open_runs, inner.free_runs, inner.infos)  # fmt: skip
        self.parked_runs, self.next_due, self.inbox = inner.parked_runs, inner.next_due, inner.inbox
        self.delete, self.blobs_named = inner.delete, inner.blobs_named
        self.sinks_left, self.emitted, self.undelivered = inner.sinks_left, inner.emitted, inner.undelivered
        self.emits_left, self.decide_emit = inner.emits_left, inner.decide_emit
        self.schedules, self.schedule, self.schedules_by = inner.schedules, inner.schedule, inner.schedules_by
        self.delete_schedule, self.delete_queue = inner.delete_schedule, inner.delete_queue
        self.queues, self.queue, self.queues_seen = inner.queues, inner.queue, inner.queues_seen
        self.lanes, self.ripen = inner.lanes, inner.ripen
        self.place_shares, self.newer = inner.place_shares, inner.newer

    def _write(self, name: str, call: Callable[[], T], tell: Callable[[T], None] = lambda _: None) -> T:
        """Make a call that writes with what is planned for it; `tell` is told what it has really done."""

        def told() -> T:
            result = call()
            tell(result)
            return result

        try:
            return self._faults.around(name, told, self._process)
        except AGAIN:
            self._view.disturbed()  # what it was to do, and all that is written asynchronously it, comes later
            raise

    def begin(self, session: Session) -> None:
        """Make a session, with what is planned for this call."""
        self._write("journal.begin", lambda: self._inner.begin(session), lambda _: self._view.began(session))

    def append(self, rows: Sequence[Row], *, renew: bool = False, waits: bool = True) -> Appended:
        """Append, with what is planned for this call."""
        return self._write(
            "journal.append",
            lambda: self._inner.append(rows, renew=renew, waits=waits),
            lambda appended: self._view.appended(rows, appended, renew=renew),
        )

    def find(self, run: RunId) -> RunInfo | None:
        """Return what is known of a Run, with what is planned for this call."""
        return self._faults.around("journal.find", lambda: self._inner.find(run), self._process)

    def load(self, uid: RunUid) -> list[Row]:
        """Load a Run, with what is planned for this call."""
        self._faults.around("journal.load", lambda: self._view.reads(uid), self._process)
        return self._inner.load(uid)

    def suspend(self, waiting: Mapping[RunUid, Rest]) -> None:
        """Suspend Runs, with what is planned for this call."""
        self._write("journal.suspend", lambda: self._inner.suspend(waiting), lambda _: self._view.suspend(waiting))

    def sessions(self) -> list[Session]:
        """Return all sessions, with what is planned for this call."""
        return self._faults.around("journal.look", self._inner.sessions, self._process)

    def claim(self, uids: Sequence[RunUid]) -> list[RunInfo]:
        """Take Runs over, with what is planned for this call."""
        return self._write("journal.claim", lambda: self._inner.claim(uids), self._view.claimed)

    def retry(self, uid: RunUid, life: int, at: float) -> bool:
        """Begin another life of a Run, with what is planned for this call."""
        return self._write(
            "journal.retry",
            lambda: self._inner.retry(uid, life, at),
            lambda _: self._view.retried(uid, self._inner.load(uid)),
        )

    def put_back(self, uids: Sequence[RunUid]) -> None:
        """Free Runs in good order."""
        self._faults.check_lock("put_back", self._process)
        self._inner.put_back(uids)
        self._view.put_back(uids)

    def declare_dead(self, session: Session) -> bool:
        """Remove a dead session, with what is planned for this call."""
        return self._write(
            "journal.declare_dead",
            lambda: self._inner.declare_dead(session),
            lambda is_dead: self._view.declared_dead(session) if is_dead else None,
        )

    def leave(self) -> None:
        """Remove the own session."""
        self._faults.check_lock("leave", self._process)
        self._inner.leave()
        self._view.left()

    def post(self, message: Message, *, signals_max: int = 10_000) -> Posted:
        """Put a message into the inbox, a signal with what is planned for this call."""
        if message.kind == "signal":
            return self._write(
                "journal.post",
                lambda: self._inner.post(message, signals_max=signals_max),
                lambda posted: self._view.posted(message, posted),
            )
        posted = self._inner.post(message, signals_max=signals_max)
        self._view.posted(message, posted)
        return posted

    def drop_messages(self, ids: Sequence[str]) -> None:
        """Remove messages that were taken."""
        self._faults.check_lock("drop_messages", self._process)
        self._inner.drop_messages(ids)

    def take_emits(self, take: Take) -> TakenEmits:
        """Take emits out, with what is planned for this call."""
        return self._write(
            "outbox.take", lambda: self._inner.take_emits(take), lambda taken: self._view.took(take, taken)
        )

    def settle_emits(self, sink: str, verdicts: Sequence[Verdict], at: float) -> bool:
        """Say how it stands with emits, with what is planned for this call."""
        return self._write(
            "outbox.settle",
            lambda: self._inner.settle_emits(sink, verdicts, at),
            lambda owned: self._view.settled(sink, owned=owned),
        )

    def put_schedule(self, schedule: KeptSchedule, expected: str) -> bool:
        """Change a schedule, with what is planned for this call."""
        return self._write(
            "journal.schedule",
            lambda: self._inner.put_schedule(schedule, expected),
            lambda is_put: self._view.schedule_changed(schedule, expected) if is_put else None,
        )

    def put_queue(self, queue: KeptQueue, expected: str) -> bool:
        """Change a queue, with what is planned for this call."""
        return self._write(
            "journal.queue",
            lambda: self._inner.put_queue(queue, expected),
            lambda is_put: self._view.queue_changed(queue, expected) if is_put else None,
        )

    def queue_now(self, name: str) -> QueueNow | None:
        """Return a queue and what is under way, with what is planned for this call."""
        return self._faults.around("journal.queue_now", lambda: self._inner.queue_now(name), self._process)

    def purge_queue(self, name: str, message: str, most: int) -> int:
        """Cancel Runs that wait in a queue."""
        purged = self._inner.purge_queue(name, message, most)
        self._view.purged(name)
        return purged

    def delete_ended(self, uids: Sequence[RunUid], *, before: float, forget: bool) -> list[RunUid]:
        """Delete ended Runs."""
        gone = self._inner.delete_ended(uids, before=before, forget=forget)
        self._view.deleted(gone, before=before)
        return gone

    def enqueue(self, rows: Sequence[Row], now: float) -> Mapping[RunUid, NotQueued]:
        """Put Runs into their queues, with what is planned for this call."""
        return self._write(
            "journal.enqueue",
            lambda: self._inner.enqueue(rows, now),
            lambda refused: self._view.enqueued(rows, refused),
        )

    def begin_queued(self, queue: KeptQueue, expected: str, runs: Sequence[RunUid]) -> list[Row]:
        """Let Runs leave a queue, with what is planned for this call."""

        def tell(begun: Sequence[Row]) -> None:
            there = self._inner.queue(queue.name)
            if there is not None and there.revision == queue.revision:  # also where all that were to leave are gone
                self._view.queue_changed(queue, expected, begun)

        return self._write("journal.begin_queued", lambda: self._inner.begin_queued(queue, expected, runs), tell)

    def put_share(self, function: str, share: PlaceShare, expected: str, revision: str) -> bool:
        """Change a share, with what is planned for this call."""
        return self._write("journal.share", lambda: self._inner.put_share(function, share, expected, revision))


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
        return self._faults.around("blobs.put", lambda: self._inner.put(descriptor, nbytes), self._process)


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
        self.show_waits = inner.show_waits
        self.waits = inner.waits
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
        self.listen, self.close = inner.listen, inner.close
        self.fence, self.withdraw = inner.fence, inner.withdraw
        self.progress, self.held, self.held_bytes = inner.progress, inner.held, inner.held_bytes

    def create(self, sandbox: SandboxId, profile: Profile) -> None:
        """Begin to make a Sandbox, with what is planned for this call."""
        self._faults.around("sandboxes.create", lambda: self._inner.create(sandbox, profile), self._process)

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """Send a message, with what is planned for this call."""
        self._faults.around("sandboxes.send", lambda: self._inner.send(sandbox, message), self._process)

    def hold_until(self, at: float) -> None:
        """Let bodies be entered until then, with what is planned for this call."""
        self._faults.around("sandboxes.hold", lambda: self._inner.hold_until(at), self._process)

    def let(self, batch: int) -> None:
        """Let a prepared Batch be entered, with what is planned for this call."""
        self._faults.around("sandboxes.let", lambda: self._inner.let(batch), self._process)

    def kill(self, sandbox: SandboxId, *, says_where: bool = False) -> None:
        """End a Sandbox, with what is planned for this call."""
        self._faults.around("sandboxes.kill", lambda: self._inner.kill(sandbox, says_where=says_where), self._process)
