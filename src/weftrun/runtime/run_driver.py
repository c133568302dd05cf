"""Runs the machines of open Runs: work to the Worker, rows to the committer, texts to the trace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weftrun.machines.streams import AnswerOfStream, StreamsMachine
from weftrun.model import commands as c
from weftrun.model.commands import Append, End, Hurry, LeftOut, Release, WakeAt, WorkCommand
from weftrun.model.errors import InternalError, WeftrunError
from weftrun.model.events import AttemptsEnded, CodeUnfit, Committed, OutputPut, RunEvent, TimeCame
from weftrun.model.hosts import KnownBatches
from weftrun.model.ids import ObjectId, RunUid, SandboxId
from weftrun.model.limits import Limits
from weftrun.model.messages import Asking, OfStream, PutDurably, StreamAnswer
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.records import Row
from weftrun.model.values import Inline
from weftrun.model.visiting import objects_in
from weftrun.model.work import AttemptAt, BatchCounts, BatchSent, Came, Running, Said, WorkEvent
from weftrun.ports.journal import Rest
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.ports.spans import Spans
from weftrun.ports.trace import Trace
from weftrun.ports.transactions import Transactions
from weftrun.ports.worker import PreparingWorker, Worker
from weftrun.runtime.committer import Committer
from weftrun.runtime.runs import OpenRun, parked_error, unfit
from weftrun.runtime.spanning import Spanning
from weftrun.runtime.tickets import Latch
from weftrun.runtime.tracing import Tracing
from weftrun.runtime.transactions import RunTransactions
from weftrun.runtime.waits import ShownWaits, Unseen


class RunListener(Protocol):
    """Whom the driver tells what happens to Runs. All calls come on the loop."""

    def run_ended(self, run: OpenRun) -> None:
        """A Run is open here no more: it ended, or was given up. Its tickets were told."""

    def id_taken(self, run: OpenRun) -> None:
        """The id of a Run that was started here belongs to another Run."""

    def run_lost(self, run: OpenRun) -> None:
        """Another engine owns the Run."""

    def parked(self, uid: RunUid) -> None:
        """The code of a Run does not fit it: it stays open in the Journal, nobody's, until other code is there (L2)."""

    def lost_track(self, run: OpenRun, error: WeftrunError) -> None:
        """What became of the Run's last rows is not known: it must go on from what the Journal holds."""

    def emitted(self, run: OpenRun, sinks: frozenset[str]) -> None:
        """Rows are durable that emit to these sinks."""

    def time_comes(self, then: Callable[[], None]) -> None:
        """A time comes for a Run that waits for signals: those in the inbox are to be told before; then go on."""

    def received(self, messages: Sequence[str]) -> None:
        """These signals are taken by rows that are durable."""

    def waits_until(self, run: OpenRun, rest: Rest) -> None:
        """The Run does nothing but wait, and all that it has is durable."""

    def has_delivered(self) -> bool:
        """Return whether nothing that was emitted is being delivered."""


class RunDriver:
    """Runs the machines of open Runs (port WorkerEvents).

    Attributes:
        waits: shows what Runs wait for.
    """

    def __init__(
        self,
        loop: Loop,
        trace: Trace,
        objects: Objects,
        worker: Worker,
        committer: Committer,
        limits: Limits,
        transactions: Transactions | None,
        listener: RunListener,
        spans: Spans | None = None,
        preparing: PreparingWorker | None = None,
    ) -> None:
        self._loop = loop
        self.trace = Tracing(loop, trace)
        self._objects = objects
        self._worker = worker
        self._preparing = preparing
        self._committer = committer
        self._listener = listener
        self._runs: dict[int, OpenRun] = {}
        self._by_uid: dict[RunUid, OpenRun] = {}
        self._drained: Latch | None = None
        self._stopped = False
        self.batches = BatchCounts()
        self._streams = StreamsMachine(limits)
        self._spanning = Spanning(loop, spans) if spans is not None else None
        self._transactions: RunTransactions | None = None
        if transactions is not None:
            self._transactions = RunTransactions(loop, transactions, objects, committer, worker, self, limits)
        self.waits: ShownWaits | Unseen = Unseen()
        committer.listen(self)
        worker.listen(self)

    # ------------------------------------------------------------------ Runs

    def opened(self, run: OpenRun) -> None:
        """A Run may be told events from now on."""
        self._runs[run.number] = run
        self._by_uid[run.uid] = run
        trace = run.traceparent if self._spanning is None else self._spanning.trace_of(run)
        self._worker.open_run(run.number, run.id, run.uid, run.bundle, trace)

    def is_open(self, run: OpenRun) -> bool:
        """Say whether a Run is open here."""
        return run.number in self._runs

    def awaited_by(self, uid: RunUid) -> str:
        """Return what an open Run waits for now; empty where it goes on, or is not open here."""
        run = self._by_uid.get(uid)
        return run.machine.waits_for if run is not None else ""

    def open_run(self, number: int) -> OpenRun | None:
        """Return the open Run of this number."""
        return self._runs.get(number)

    def tell(self, run: OpenRun, event: RunEvent) -> None:
        """Hand an event to the machine of a Run and carry out what it wants."""
        if self._stopped:
            return
        if type(event) is not Committed and not self._objects.is_empty:
            # The message that told of an event's Objects had one holder for each: it is the Run from now on.
            for obj in objects_in(event):
                run.held.add(obj.oid)
        for command in run.machine.handle(event):
            match command:
                case Append():
                    self._append(run, command)
                case Hurry():
                    self._committer.hurry()
                case Release():
                    self._release(run, [oid for oid in command.objects if oid in run.held])
                case LeftOut():
                    self.trace.left_out(run, command)
                case End() | WakeAt() | c.WaitsUntil() | c.Park() | c.PutFixed():
                    self._goes_on(run, command)
                case _:
                    if self._streams.streams and type(command) is c.Revoke:
                        self._answer_all(self._streams.revoked(run.number, command.steps))
                    if run.machine.state.watches:
                        self._tell_handed(run, command)
                    self._worker.work(run.number, command)
        self.waits.happened(run)

    def _goes_on(self, run: OpenRun, command: End | WakeAt | c.WaitsUntil | c.Park | c.PutFixed) -> None:
        """Carry out what a Run wants done with itself: that it ends, or goes on now or at another time."""
        match command:
            case End():
                self._end(run, command)
            case WakeAt():
                if run.timer is not None:
                    run.timer.cancel()
                run.timer = self._loop.call_at(command.at, lambda: self._time_came(run))
            case c.WaitsUntil():
                self._listener.waits_until(run, Rest(command.at, command.what, command.heard))
            case c.Park():
                self._park(run, command.failure)
            case c.PutFixed():
                self._answer_put(run, command)

    def _append(self, run: OpenRun, command: Append) -> None:
        row = Row(run.uid, command.seq, command.at, run.epoch, command.records)
        run.note_row(row)
        through = None
        if self._transactions is not None and self._transactions.by_attempt:
            through = self._transactions.through(run, row.records)
        self._committer.append(row, run, through, hurries=command.hurries)

    def _tell_handed(self, run: OpenRun, command: WorkCommand) -> None:
        match command:
            case c.Invoke():
                for invocation in command.invocations:
                    if not invocation.undoes:
                        self.trace.handed(run, invocation.step)
            case c.InvokeItems():
                self.trace.handed(run, command.step)
            case _:
                pass

    def _time_came(self, run: OpenRun) -> None:
        run.timer = None

        def tell() -> None:
            if run.number in self._runs:
                self.tell(run, TimeCame(self._loop.now()))

        if run.durable and run.machine.listens:
            self._listener.time_comes(tell)
        else:
            tell()

    def forsake(self, run: OpenRun) -> None:
        """Do nothing more for a Run, which is not this engine's now, nor commit what waits of it."""
        if run.number in self._runs:
            if not run.machine.is_durable:
                self._committer.drop(run.uid)
            self._worker.leave_run(run.number)
            self._close(run)

    def _park(self, run: OpenRun, failure: Failure) -> None:
        """Leave a Run open whose code does not fit it (L2)."""
        for ticket in list(run.tickets):
            ticket.park(parked_error(run.id, failure))
        self.forsake(run)
        self._listener.parked(run.uid)

    def _end(self, run: OpenRun, end: End) -> None:
        if rest := run.new_waits():
            # With what the Batches told, the trace has all of them, however many Batches it has left out.
            self.trace.note(run.uid, "", gated=rest)
        if self._spanning is not None:
            self._spanning.run_ended(run, end)
        run.give_answer(end, self._objects)
        self._worker.close_run(run.number)
        self._close(run)

    def _close(self, run: OpenRun) -> None:
        del self._runs[run.number]
        del self._by_uid[run.uid]
        self.waits.happened(run)
        if run.timer is not None:
            run.timer.cancel()
        if self._transactions is not None:
            self._transactions.run_closed(run)
        self._streams.run_closed(run.number)
        self._release(run, list(run.held))
        self._listener.run_ended(run)

    def _release(self, run: OpenRun, objects: Sequence[ObjectId]) -> None:
        if objects:
            self._worker.release(objects)
            run.held.difference_update(objects)
            for oid in objects:
                self._committer.forget(oid)
                self._objects.release(oid)

    # ------------------------------------------------------------------ what became of rows (committer.RowListener)

    def prepare(self, run: OpenRun, seq: int) -> bool:
        """Rows of a Run up to `seq` are committed now: have ready what goes on when they are durable."""
        if self._preparing is None or run.number not in self._runs or self._stopped:
            return False
        command = run.machine.comes_next(seq)
        return command is not None and self._preparing.prepare(run.number, command)

    def prepared_over(self, *, is_durable: bool) -> None:
        """The commit has happened, or not."""
        if self._preparing is not None:
            self._preparing.prepared_over(is_asked=is_durable)

    def durable(self, run: OpenRun, seq: int) -> None:
        """All rows of a Run up to `seq` are durable."""
        if run.emitted:
            self._listener.emitted(run, run.emitted_until(seq))
        if run.received:
            self._listener.received(run.received_until(seq))
        if run.number not in self._runs:
            return
        if run.start is not None:
            run.start = None
            for ticket in list(run.tickets):
                ticket.started.open()
        self.tell(run, Committed(self._loop.now(), seq))

    def id_taken(self, run: OpenRun) -> None:
        """The id of a Run that was started here belongs to another Run."""
        self._listener.id_taken(run)

    def run_lost(self, run: OpenRun) -> None:
        """Another engine owns the Run."""
        self._listener.run_lost(run)

    def lost_track(self, run: OpenRun, error: WeftrunError) -> None:
        """A transaction through which rows were to be committed was not, or nobody knows."""
        self._listener.lost_track(run, error)

    # ------------------------------------------------------------------ port WorkerEvents

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done."""
        found = self._runs.get(run)
        if found is None:
            self._release_all(event)
            return
        if self._streams.streams and type(event) is AttemptsEnded:
            self._answer_all(self._streams.ended(run, [(ended.step, ended.attempt) for ended in event.ended]))
        if self._spanning is not None:
            self._spanning.told(found, event)
        transactions = self._transactions
        if type(event) is AttemptsEnded:
            for outcome in event.ended:
                if outcome.text or outcome.note or outcome.moved is not None:
                    self.batches = self.batches.with_moved(outcome.moved)
                    self.trace.told(found, outcome)
            if transactions is not None and transactions.by_attempt:
                event = transactions.judged(run, event)
        if found.taken_over and (failure := unfit(event)) is not None:
            self.tell(found, CodeUnfit(self._loop.now(), failure))
            self._release_all(event)
        else:
            self.tell(found, event)
        if transactions is not None and transactions.by_attempt:
            transactions.settle()

    def _release_all(self, event: WorkEvent) -> None:
        """Release the Objects of an event that nobody takes."""
        for obj in objects_in(event):
            self._objects.release(obj.oid)

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""
        self.batches = self.batches.with_moved(said.moved)
        run = self._runs.get(said.run)
        if run is not None:
            self.trace.printed(run, said)

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """A Batch goes to a Sandbox."""
        go()
        self.batches = self.batches.with_sent(sent)
        run = self._by_uid.get(sent.run)
        if run is not None:
            self.trace.batch(run, sent)

    def came(self, came: Came) -> None:
        """An Object came to the host of a Worker."""
        run = self._runs.get(came.run)
        if run is not None:
            self.trace.came(run, came)

    def running(self, rows: Sequence[Running]) -> None:
        """Let the trace show what has been running for long."""
        shown = [(self._runs.get(row.run), row) for row in rows]
        self.trace.running([self.trace.running_row(run, row) for run, row in shown if run is not None and run.durable])

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """An Attempt says something to its transaction, or of a stream."""
        if isinstance(message, OfStream):
            self._of_stream(attempt, message)
        elif isinstance(message, PutDurably):
            self._put_durably(attempt, message)
        elif self._transactions is not None:
            self._transactions.asked(attempt, message)

    def _put_durably(self, attempt: AttemptAt, message: PutDurably) -> None:
        run = self._runs.get(attempt.run)
        if run is None:
            self._worker.answer(attempt, StreamAnswer(attempt.no, attempt.index, error="The Run is over."))
            return
        run.puts.setdefault((attempt.step, attempt.attempt), []).append(attempt)
        ran = Ran(attempt.sandbox, message.at, message.at, message.preview)
        value = Inline(message.value)
        now = self._loop.now()
        self.tell(run, OutputPut(now, attempt.step, attempt.attempt, message.name, value, ran, is_durable=True))

    def _answer_put(self, run: OpenRun, fixed: c.PutFixed) -> None:
        # Several Sandboxes may have it, where a Worker is taken for dead: nobody knows which is heard last.
        for attempt in run.puts.pop((fixed.step, fixed.attempt), ()):
            self._worker.answer(attempt, StreamAnswer(attempt.no, attempt.index, (fixed.value,)))

    def _of_stream(self, attempt: AttemptAt, message: OfStream) -> None:
        if attempt.run in self._runs:
            self._answer_all(self._streams.said(attempt, message))
        else:
            self._worker.answer(attempt, StreamAnswer(attempt.no, attempt.index, error="The Run is over."))

    def _answer_all(self, answered: Sequence[AnswerOfStream]) -> None:
        for at, answer in answered:
            self._worker.answer(at, answer)

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox is gone: what its Attempts said to the Journal's database is undone."""
        if self._transactions is not None:
            self._transactions.sandbox_ended(sandbox)

    def gone(self, why: str, known: KnownBatches) -> None:  # noqa: ARG002
        """The Worker is gone; one that is an engine's only one ends with it."""
        raise InternalError(f"The only Worker is gone: {why}")

    def rested(self) -> None:
        """Everything known may be durable: see whether somebody waits for that."""
        if self._drained is not None and self._worker.quiet and self._committer.idle and self._listener.has_delivered():
            self._drained.open()

    # ------------------------------------------------------------------ ending

    def drain(self, done: Latch) -> None:
        """Start nothing more; open `done` when what runs has ended and is durable."""
        self._drained = done
        self.trace.write()
        if self._stopped:
            done.open()
        self._worker.drain()

    def stop(self) -> None:
        """Do nothing more at all."""
        self._stopped = True
        self.waits.end()
        self._worker.stop()
        self.end_transactions()

    def end_transactions(self) -> None:
        """Undo what bodies have under way: the engine ends."""
        if self._transactions is not None:
            self._transactions.close()
