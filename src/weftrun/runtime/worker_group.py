"""The Workers of one engine behind the port of one: in its own process for bodies, and in others for Functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from weftrun.machines.homes import Assigned, HomesMachine
from weftrun.machines.placement import Planner
from weftrun.machines.worker_lease import WorkerLeases
from weftrun.model.commands import WorkCommand
from weftrun.model.hosts import ENGINE, SANDBOXES_EACH, KnownBatches
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, WorkerId
from weftrun.model.messages import Answer, Asking
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle
from weftrun.model.work import NOBODY, AttemptAt, BatchHolds, BatchSent, Came, Running, Said, WorkEvent
from weftrun.ports.loop import Loop
from weftrun.ports.trace import Trace, WorkerRow
from weftrun.ports.worker import DistantWorker, Worker, WorkerEvents
from weftrun.runtime.tracing import engine_name

_FIRST_S = 0.2
"""While a Worker has told nothing of itself, it is seen after so many seconds whether it has."""


class WorkerGroup:
    """All Workers of an engine (port Worker).

    Args:
        engine: the Worker in this process, which has the bodies of Workflows (W8).
        planner: chooses the homes of Steps whose graph is known.
        ttl_s: how long another Worker may be silent, in seconds; `start_s` before its first sign of life.
        trace: where those who look on find the Workers; None where nobody does.
    """

    def __init__(
        self, loop: Loop, engine: Worker, planner: Planner, ttl_s: float, start_s: float, trace: Trace | None = None
    ) -> None:
        self._loop = loop
        self._machine = HomesMachine(planner)
        self._leases = WorkerLeases(ttl_s, start_s)
        self._distant: dict[WorkerId, DistantWorker] = {}
        self._members: dict[WorkerId, _Member] = {ENGINE: _Member(self, ENGINE, engine)}
        self._runs: dict[int, tuple[RunId, RunUid, Bundle, str]] = {}
        self._capacities: dict[WorkerId, int] = {}
        self._trace = trace
        self._hold_until = math.inf
        self._drains = self._stopped = self._looks = self._awaits_first = False
        self._events: WorkerEvents

    def joined(self, worker: WorkerId, there: DistantWorker, capacity: int) -> None:
        """A Worker that runs `capacity` Functions at once is there."""
        member = self._members[worker] = _Member(self, worker, there)
        self._leases.joined(worker, self._loop.now())
        self._distant[worker] = there
        self._capacities[worker] = capacity
        there.listen(member)
        there.hold_until(self._leases.until(worker, self._hold_until))
        if self._drains:
            there.drain()
        self._hand_out(self._machine.joined(worker, capacity))
        if not self._looks:
            self._looks = True
            self._look()
        if self._trace is not None:
            there.ping()
            if not self._awaits_first:
                self._show_first(self._trace)

    def met(self, one: WorkerId, other: WorkerId) -> None:
        """Two Workers can hand one another values from now on."""
        self._machine.met(one, other)

    def _look(self) -> None:
        """Grant time to the Workers that live, end those that gave no sign of life for too long, mend what was lost."""
        self._looks = bool(self._distant) and not self._stopped
        if not self._looks:
            return
        heard = {worker: at for worker, there in self._distant.items() if (at := there.heard_at) is not None}
        looked = self._leases.look(self._loop.now(), heard)
        for worker in looked.dead:
            self._distant[worker].end()
        for worker, there in list(self._distant.items()):
            there.ping()
            there.hold_until(self._leases.until(worker, self._hold_until))
        if self._trace is not None:
            self._show(self._trace)
        self._hand_out(self._machine.overdue())
        self._loop.call_at(looked.next_at, self._look)

    def _show_first(self, trace: Trace) -> None:
        """Show the Workers, and soon again while one has told nothing of itself: the next look is seconds away."""
        self._show(trace)
        self._awaits_first = not self._stopped and any(there.about is None for there in self._distant.values())
        if self._awaits_first:
            self._loop.call_at(self._loop.now() + _FIRST_S, lambda: self._show_first(trace))

    def _show(self, trace: Trace) -> None:
        """Let those who look on see which Workers there are."""
        now = self._loop.now()
        rows = [
            worker_row(worker, self._capacities[worker], now, there) for worker, there in sorted(self._distant.items())
        ]
        self._loop.offload(lambda: trace.show_workers(engine_name(), rows), lambda: None, lane="trace")

    # ------------------------------------------------------------------ port Worker

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do that would go on by itself."""
        return all(member.worker.quiet for member in self._members.values())

    def listen(self, events: WorkerEvents) -> None:
        """Say whom to tell."""
        self._events = events
        self._members[ENGINE].worker.listen(self._members[ENGINE])

    def open_run(self, run: int, id: RunId, uid: RunUid, bundle: Bundle, trace: str = "") -> None:
        """A Run may send work from now on; a Worker hears of it with the first of it."""
        self._runs[run] = (id, uid, bundle, trace)

    def close_run(self, run: int) -> None:
        """A Run is over; what was not revoked of it is dropped where it is."""
        self._drop_untold(run)
        busy = self._machine.run_closed(run)
        for worker, member in self._forget(run):
            if worker in busy:
                member.worker.leave_run(run)
            else:
                member.worker.close_run(run)

    def leave_run(self, run: int) -> None:
        """A Run is given up before its end."""
        self._drop_untold(run)
        self._machine.run_closed(run)
        for _, member in self._forget(run):
            member.worker.leave_run(run)

    def _drop_untold(self, run: int) -> None:
        """Let the Objects be released of what the Run is not told any more."""
        for event in self._machine.untold(run):
            self._events.told(NOBODY, event)

    def _forget(self, run: int) -> list[tuple[WorkerId, _Member]]:
        del self._runs[run]
        told = [(worker, member) for worker, member in self._members.items() if run in member.runs]
        for _, member in told:
            member.runs.discard(run)
        return told

    def work(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run's machine."""
        self._hand_out(self._machine.assign(run, command))

    def _hand_out(self, assigned: Sequence[Assigned]) -> None:
        for each in assigned:
            member = self._members.get(each.worker)
            if member is None:
                continue  # it is gone, and nothing of this is wanted of it
            if each.run not in member.runs and each.run in self._runs:
                member.runs.add(each.run)
                member.worker.open_run(each.run, *self._runs[each.run])
            member.worker.work(each.run, each.command)

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget Objects."""
        for member in self._members.values():
            member.worker.release(objects)

    def answer(self, attempt: AttemptAt, answer: Answer) -> None:
        """Answer what an Attempt said to its transaction, or of a stream."""
        if (member := self._member_of(attempt.sandbox)) is not None:
            member.worker.answer(attempt, answer)

    def overstayed(self, attempt: AttemptAt, failure: Failure) -> None:
        """End a Sandbox for what an Attempt does."""
        if (member := self._member_of(attempt.sandbox)) is not None:
            member.worker.overstayed(attempt, failure)

    def _member_of(self, sandbox: SandboxId) -> _Member | None:
        return self._members.get(WorkerId(sandbox // SANDBOXES_EACH))

    def hold_until(self, at: float) -> None:
        """Enter bodies until then, and not after."""
        self._hold_until = at
        self._members[ENGINE].worker.hold_until(at)
        for worker, there in list(self._distant.items()):
            there.hold_until(self._leases.until(worker, at))

    def fence(self) -> None:
        """Enter nothing more of what was given so far."""
        for member in list(self._members.values()):
            member.worker.fence()

    def drain(self) -> None:
        """Start nothing more."""
        self._drains = True
        for member in list(self._members.values()):
            member.worker.drain()

    def stop(self) -> None:
        """Do nothing more at all."""
        self._stopped = True
        for member in list(self._members.values()):
            member.worker.stop()

    # ------------------------------------------------------------------ what Workers tell

    def told(self, worker: WorkerId, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done."""
        due = self._machine.ended(worker, run, event)
        if due is not None:
            self._events.told(run, due)
        while (due := self._machine.due(run)) is not None:
            self._events.told(run, due)

    def came(self, came: Came) -> None:
        """An Object came to the host of a Worker: plans go by how long that took."""
        self._machine.planner.crossed(came)
        self._events.came(came)

    def running(self) -> None:
        """Tell what has been running for long, wherever."""
        self._events.running([row for member in self._members.values() for row in member.shown])

    def handed(self, worker: WorkerId, holds: BatchHolds) -> None:
        """A Worker hands a Batch to a Sandbox."""
        if worker != ENGINE:
            self._machine.handed(worker, holds)

    def gone(self, worker: WorkerId, why: str, known: KnownBatches) -> None:
        """A Worker is gone: what a Sandbox of it had has failed as lost, all else goes to another Worker (W9)."""
        member = self._members.pop(worker, None)
        self._distant.pop(worker, None)
        self._leases.left(worker)
        self._capacities.pop(worker, None)
        if member is None or self._stopped:
            return
        for sandbox in member.sandboxes:
            self._events.sandbox_ended(sandbox)
        left = self._machine.left(worker, why, self._loop.now(), known)
        self._hand_out(left.assigned)
        for run, event in left.events:
            self.told(worker, run, event)
        self._events.rested()

    @property
    def events(self) -> WorkerEvents:
        """Whom to tell what needs no decision."""
        return self._events


def worker_row(worker: WorkerId, capacity: int, now: float, there: DistantWorker) -> WorkerRow:
    """Return what is shown of a Worker."""
    about = there.about
    if about is None:
        return WorkerRow(worker, capacity, now)
    heard = there.heard_at or 0.0
    return WorkerRow(
        worker, capacity, now, heard, about.host, about.pid, about.sandboxes, about.memory_bytes, about.object_bytes
    )


class _Member:
    """One Worker of the group (port WorkerEvents).

    Attributes:
        runs: those that it was told of.
        sandboxes: those that were given a Batch and have not ended.
        shown: what has been running there for long.
    """

    def __init__(self, group: WorkerGroup, id: WorkerId, worker: Worker) -> None:
        self.worker = worker
        self.runs: set[int] = set()
        self.sandboxes: set[SandboxId] = set()
        self.shown: tuple[Running, ...] = ()
        self._group = group
        self._id = id

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done."""
        self._group.told(self._id, run, event)

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""
        self._group.events.printed(said)

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """A Batch is to go to a Sandbox."""
        self.sandboxes.add(sent.sandbox)
        self._group.handed(self._id, sent.holds)
        self._group.events.batch_sent(sent, go)

    def came(self, came: Came) -> None:
        """An Object came to the host of this Worker."""
        self._group.came(came)

    def running(self, rows: Sequence[Running]) -> None:
        """Something has been running for long here, beside what runs elsewhere."""
        self.shown = tuple(rows)
        self._group.running()

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """An Attempt says something to its transaction, or of a stream."""
        self._group.events.asked(attempt, message)

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox is gone."""
        self.sandboxes.discard(sandbox)
        self._group.events.sandbox_ended(sandbox)

    def rested(self) -> None:
        """What there was to be done has been handed on."""
        self._group.events.rested()

    def gone(self, why: str, known: KnownBatches) -> None:
        """The Worker is gone."""
        self._group.gone(self._id, why, known)
