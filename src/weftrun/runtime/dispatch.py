"""Carrying out what machines want: work to Sandboxes, outcomes to Runs, rows to the committer, texts to the trace."""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from weftrun.machines.worker import WorkerMachine
from weftrun.model import commands as c
from weftrun.model.commands import Append, End, EnterBody, Hurry, LeftOut, Release, RunCommand, WakeAt
from weftrun.model.errors import WeftrunError
from weftrun.model.events import CodeUnfit, Committed, RunEvent, TimeCame
from weftrun.model.ids import RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import Batch, BodyEnded, FromSandbox, ItemBatch, ItemOutcomes, OfTransaction, Outcomes
from weftrun.model.outcomes import Failure
from weftrun.model.records import Row, emits_in
from weftrun.model.work import KillSandbox, Said, Send, StartSandbox, Tell, TickAt, WorkerCommand
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Progress, Sandboxes
from weftrun.ports.trace import Trace
from weftrun.ports.transactions import Transactions
from weftrun.runtime.committer import Committer
from weftrun.runtime.durable import with_objects
from weftrun.runtime.lookout import Lookout
from weftrun.runtime.runs import OpenRun, Profiles, objects_of_event, parked_error, unfit
from weftrun.runtime.tickets import Latch
from weftrun.runtime.tracing import Tracing
from weftrun.runtime.transactions import RunTransactions


class Dispatch:
    """Runs the machines of open Runs and of the Worker (port SandboxEvents)."""

    def __init__(
        self,
        loop: Loop,
        trace: Trace,
        objects: Objects,
        sandboxes: Sandboxes,
        committer: Committer,
        limits: Limits,
        sandboxes_max: int,
        *,
        may_enter: Callable[[], bool],
        transactions: Transactions | None,
        ended: Callable[[OpenRun], None],
        taken: Callable[[OpenRun], None],
        lost: Callable[[OpenRun], None],
        park: Callable[[RunUid], None],
        lost_track: Callable[[OpenRun, WeftrunError], None],
        emitted: Callable[[OpenRun, frozenset[str]], None],
        delivered: Callable[[], bool],
        waits: Callable[[OpenRun, float], None],
    ) -> None:
        self._loop = loop
        self.trace = Tracing(loop, trace)
        self._objects = objects
        self._sandboxes = sandboxes
        self._committer = committer
        self._may_enter = may_enter
        self._ended = ended
        self._taken = taken
        self._lost = lost
        self._park = park
        self._emitted = emitted
        self._delivered = delivered
        self._waits = waits
        self._worker = WorkerMachine(limits, sandboxes_max)
        self._profiles = Profiles()
        self._runs: dict[int, OpenRun] = {}
        self._lookout = Lookout(loop, trace, sandboxes, self._worker, self._runs.get, self._piped)
        self._by_uid: dict[RunUid, OpenRun] = {}
        self._place_asked = False
        self._timer: Handle | None = None
        self._fresh: dict[SandboxId, dict[str, str | int | float]] = {}
        self._printed: dict[SandboxId, list[str]] = {}
        self._drained: Latch | None = None
        self._stopped = False
        self.lost_track = lost_track
        self._transactions: RunTransactions | None = None
        if transactions is not None:
            self._transactions = RunTransactions(loop, transactions, objects, committer, sandboxes, self, limits)
        sandboxes.listen(self)

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do."""
        return self._worker.quiet

    # ------------------------------------------------------------------ Runs

    def opened(self, run: OpenRun) -> None:
        """A Run may be told events from now on."""
        self._runs[run.number] = run
        self._by_uid[run.uid] = run
        self._worker.run_opened(run.number, (run.id, run.uid))

    def tell(self, run: OpenRun, event: RunEvent) -> None:
        """Hand an event to the machine of a Run and carry out what it wants."""
        if self._stopped:
            return
        run.take(event)
        for command in run.machine.handle(event):
            self._carry_out(run, command)
        self.place_soon()

    def _carry_out(self, run: OpenRun, command: RunCommand) -> None:
        match command:
            case Append():
                row = Row(run.uid, command.seq, command.at, run.epoch, command.records)
                run.emitted.extend((command.seq, emit.sink) for _, emit in emits_in(command.records))
                through = self._transactions.through(run, row.records) if self._transactions is not None else None
                self._committer.append(
                    row, lambda seq: self._durable(run, seq), lambda: self._taken(run), lambda: self._lost(run), through
                )
            case Hurry():
                self._committer.hurry()
            case End():
                self._end(run, command)
            case Release():
                for oid in command.objects:
                    if oid in run.held:
                        run.held.discard(oid)
                        self._committer.forget(oid)
                        self._objects.release(oid)
            case LeftOut():
                self.trace.left_out(run, command)
            case WakeAt():
                if run.timer is not None:
                    run.timer.cancel()
                run.timer = self._loop.call_at(command.at, lambda: self._time_came(run))
            case c.WaitsUntil() | c.Park():
                self._let_go(run, command)
            case _:
                if type(command) is EnterBody and not self._may_enter():
                    self._worker.bar()
                self._worker.work(self._loop.now(), run.number, command, lambda f: self._profiles.number(run.bundle, f))

    def _time_came(self, run: OpenRun) -> None:
        run.timer = None
        if run.number in self._runs:
            self.tell(run, TimeCame(self._loop.now()))

    def _durable(self, run: OpenRun, seq: int) -> None:
        if run.emitted:
            self._emitted(run, run.emitted_until(seq))
        if run.number not in self._runs:
            return
        if run.start is not None:
            run.start = None
            for ticket in list(run.tickets):
                ticket.started.open()
        self.tell(run, Committed(self._loop.now(), seq))

    def _let_go(self, run: OpenRun, command: c.WaitsUntil | c.Park) -> None:
        """Let a Run go that only waits, or whose code does not fit: it stays open, and waits for other code (L2)."""
        if isinstance(command, c.WaitsUntil):
            self._waits(run, command.at)
            return
        failure = command.failure
        for ticket in list(run.tickets):
            ticket.park(parked_error(run.id, failure))
        self.forsake(run, pumps=False)
        self._park(run.uid)

    def forsake(self, run: OpenRun, *, pumps: bool = True) -> None:
        """Do nothing more for a Run, which is not this engine's now, nor commit what waits of it.

        Not `pumps` while a command of it is done.
        """
        if run.number in self._runs:
            if not run.machine.is_durable:
                self._committer.drop(run.uid)
            self._worker.run_left(self._loop.now(), run.number)
            self._close(run)
            if pumps:
                self._pump()

    def place_again(self) -> None:
        """Bodies may be entered again."""
        self.place_soon()

    def place_soon(self) -> None:
        """Place what waits, once in this turn."""
        if not self._place_asked:
            self._place_asked = True
            self._loop.call_soon(self._place)

    def _end(self, run: OpenRun, end: End) -> None:
        if rest := run.new_waits():
            # With what the Batches told, the trace has all of them, however many Batches it has left out.
            self.trace.note(run.uid, "", gated=rest)
        run.give_answer(end, self._objects)
        self._close(run)

    def _close(self, run: OpenRun) -> None:
        del self._runs[run.number]
        del self._by_uid[run.uid]
        self._worker.run_closed(run.number)
        if run.timer is not None:
            run.timer.cancel()
        for oid in run.held:
            self._committer.forget(oid)
            self._objects.release(oid)
        run.held.clear()
        self._ended(run)

    # ------------------------------------------------------------------ the Worker

    def _place(self) -> None:
        self._place_asked = False
        if self._stopped:
            return
        if self._drained is None and self._may_enter():
            self._worker.place(self._loop.now())
        self._pump()
        self.rested()

    def rested(self) -> None:
        """Everything known may be durable: see whether somebody waits for that."""
        if self._drained is not None and self._worker.quiet and self._committer.idle and self._delivered():
            self._drained.open()

    def _pump(self) -> None:
        """Carry out what the Worker's machine wants, until it wants nothing more."""
        while commands := self._worker.take_commands():
            for command in commands:
                self._carry_out_work(command)

    def _carry_out_work(self, command: WorkerCommand) -> None:
        match command:
            case Tell():
                run = self._runs.get(command.run)
                if run is not None and run.taken_over and (failure := unfit(command.event)) is not None:
                    self.tell(run, CodeUnfit(self._loop.now(), failure))
                    self._release_orphans(command.event)
                elif run is not None:
                    self.tell(run, command.event)
                else:
                    self._release_orphans(command.event)
            case Send():
                self._sandboxes.send(command.sandbox, with_objects(command.message))
                if isinstance(command.message, Batch | ItemBatch):
                    self._went(command.sandbox, command.message)
                self._lookout.gave()
            case StartSandbox():
                self._sandboxes.create(command.sandbox, self._profiles.profile(command.profile))
            case KillSandbox():
                self._sandboxes.kill(command.sandbox, says_where=command.says_where)
            case Said():
                run = self._runs.get(command.run)
                if run is not None:
                    self.trace.printed(run, command)
            case TickAt():
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(command.at, self._tick)

    def _went(self, sandbox: SandboxId, message: Batch | ItemBatch) -> None:
        uid = message.run[1] if isinstance(message, ItemBatch) else message.runs[0][1]
        run = self._by_uid.get(uid)
        if run is not None and self.trace.tells_batch(run):
            self.trace.batch(run, sandbox, message, self._fresh.pop(sandbox, None))

    def _release_orphans(self, event: RunEvent) -> None:
        """Nobody is left for an outcome: let its Objects go."""
        for oid in objects_of_event(event):
            self._objects.release(oid)

    def _tick(self) -> None:
        self._timer = None
        now = self._loop.now()
        read = {id: self._sandboxes.progress(id) for id in self._worker.watched_sandboxes()}
        pages = {id: _running(progress) for id, progress in read.items()}
        self._worker.tick(now, pages, {id: progress.starved_s for id, progress in read.items()})
        self._place()

    # ------------------------------------------------------------------ port SandboxEvents

    def sandbox_ready(
        self, sandbox: SandboxId, start_s: float, isolation: tuple[str, ...], unforkable: tuple[str, ...] = (),
        written: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """The Sandbox takes work."""
        self._fresh[sandbox] = {
            "start_s": start_s,
            "isolation": " ".join(isolation),
            "unforkable": ", ".join(unforkable),
            "written": ", ".join(written),
        }
        if not self._may_enter():
            self._worker.bar()
        self._worker.ready(self._loop.now(), sandbox)
        self._place()

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:
        """Messages came, in order."""
        printed = self._printed.pop(sandbox, None)
        if printed is not None:
            messages = self._with_text(sandbox, messages, "".join(printed))
        words = [message for message in messages if isinstance(message, OfTransaction)]
        if self._transactions is not None:
            messages = self._transactions.judged(sandbox, messages)
        # Placed below, once for all: no turn of the loop's is needed for it.
        self._place_asked = True
        self._worker.spoke(self._loop.now(), sandbox, messages)
        self._pump()
        if self._transactions is not None:
            self._transactions.settle()
            for word in words:
                self._transactions.said(sandbox, word)
        self._place()

    def run_of(self, sandbox: SandboxId, no: int, index: int) -> tuple[OpenRun, StepId] | None:
        """Return the open Run and the Step of a body that a Sandbox was given and has not told of."""
        found = self._worker.invocation_at(sandbox, no, index)
        run = self._runs.get(found[0]) if found is not None else None
        return (run, found[1].id) if run is not None and found is not None else None

    def overstayed(self, sandbox: SandboxId, no: int, index: int, failure: Failure) -> None:
        """End a Sandbox for what the body at this place of a Batch did."""
        self._worker.overstayed(sandbox, no, index, failure)
        self._pump()

    def sandbox_printed(self, sandbox: SandboxId, text: str) -> None:
        """Text came over descriptor 1 or 2; it belongs to what the Sandbox runs."""
        self._printed.setdefault(sandbox, []).append(text)

    def _piped(self, sandbox: SandboxId) -> str:
        """Return what came over descriptors 1 and 2 and is not told yet."""
        return "".join(self._printed.get(sandbox, ()))

    def sandbox_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:
        """The Sandbox ended."""
        if self._transactions is not None:
            self._transactions.gone(sandbox)
        text = progress.text + "".join(self._printed.pop(sandbox, ()))
        self._fresh.pop(sandbox, None)
        self._worker.gone(self._loop.now(), sandbox, why, _running(progress), text, progress.where)
        self._pump()  # first, for a Run that fails by this must have nothing placed any more
        self._place()

    def _with_text(self, sandbox: SandboxId, messages: list[FromSandbox], text: str) -> list[FromSandbox]:
        """Return the messages with what came over descriptors 1 and 2, as said by the first that ended."""
        for index, message in enumerate(messages):
            match message:
                case Outcomes(outcomes=(first, *rest)):
                    told: FromSandbox = replace(message, outcomes=(replace(first, text=first.text + text), *rest))
                case ItemOutcomes() | BodyEnded():
                    told = replace(message, text=message.text + text)
                case _:
                    continue
            return [*messages[:index], told, *messages[index + 1 :]]
        self._printed[sandbox] = [text]
        return messages

    # ------------------------------------------------------------------ ending

    def drain(self, done: Latch) -> None:
        """Start nothing more; open `done` when what runs has ended and is durable."""
        self._drained = done
        self.trace.write()
        if self._stopped:
            done.open()
        self._place()

    def stop(self) -> None:
        """Do nothing more at all."""
        self._stopped = True
        self._lookout.stop()
        self.end_transactions()

    def end_transactions(self) -> None:
        """Undo what bodies have under way: the engine ends."""
        if self._transactions is not None:
            self._transactions.close()


def _running(progress: Progress) -> tuple[int, int, bool, float]:
    return (progress.batch, progress.index, progress.entered, progress.entered_at)
