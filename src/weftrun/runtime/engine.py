"""The engine: the author's threads on one side, machines, Journal and Sandboxes on the other.

Methods that begin with `_` run on the loop, but for those in the first section, which the author's threads call.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from weftrun.model.commands import WHEN_READY, End, StartRules
from weftrun.model.errors import EngineClosed, UsageError, WeftrunError
from weftrun.model.events import CancelCame, SignalCame
from weftrun.model.ids import RunId, RunUid
from weftrun.model.limits import DEFAULT_LIMITS, Limits
from weftrun.model.outcomes import Status
from weftrun.model.policy import Bundle, FunctionSpec, Program
from weftrun.model.queues import QueueOptions
from weftrun.model.records import Row
from weftrun.model.schedules import Calendar
from weftrun.model.values import Data, Inline, Object, Payload
from weftrun.model.work import BatchCounts
from weftrun.ports.blobs import Blobs
from weftrun.ports.code import Code, UnknownCode
from weftrun.ports.entropy import Entropy
from weftrun.ports.hints import Hints
from weftrun.ports.journal import FORCE, Journal, Message, Rest, RunInfo
from weftrun.ports.liveness import Liveness
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.ports.sinks import Sink
from weftrun.ports.spans import Spans
from weftrun.ports.trace import Trace
from weftrun.ports.transactions import Transactions
from weftrun.ports.worker import OwnWorker, Worker
from weftrun.runtime.committer import Committer
from weftrun.runtime.forking import ForkAsked
from weftrun.runtime.function_limits import FunctionLimits
from weftrun.runtime.opening import Opening
from weftrun.runtime.outbox import Delivery
from weftrun.runtime.ownership import Ownership, SeenJournal, Watch
from weftrun.runtime.queues import Leavings, QueueBook
from weftrun.runtime.run_driver import RunDriver
from weftrun.runtime.runs import OpenRun, Start
from weftrun.runtime.schedules import ScheduleBook, ScheduleStarter
from weftrun.runtime.signals import Signals, signals_among
from weftrun.runtime.tickets import Latch, Reply, Ticket

T = TypeVar("T")


class EngineCore:
    """Runs workflows against one Journal: what `sdk.handles.Core` asks of an engine, whatever its adapters.

    Args:
        worker: what executes; it serves this engine alone.
        sinks: where what is emitted goes, by the names that authors use.
        program: what the author's program in this process was started with, where that is known.
        code: the author's code as this process has it, and which Runs go on with it here.
        watch: calls back on the loop soon after the process of one of these sessions has ended, where that can be seen;
            a hint.
        starts: how Steps come to start.
        hints: says when it is worth to look at the Journal; without it, that is done now and then.
        calendar: reckons when schedules are due; without it none is looked after.
        wall: returns what the clock of this host shows, which may be set; None takes the loop's.
        own: the worker, where it is in this process.
        stands_still: told what is wrong when the Journal can't be written for now; once, until it can be.
    """

    def __init__(
        self,
        *,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        trace: Trace,
        liveness: Liveness,
        objects: Objects,
        worker: Worker,
        entropy: Entropy,
        transactions: Transactions | None = None,
        limits: Limits = DEFAULT_LIMITS,
        program: Program | None = None,
        code: Code | None = None,
        stands_still: Callable[[str], None] = lambda _: None,
        sinks: Mapping[str, Sink] | None = None,
        watch: Watch = lambda _sessions, _ended: None,
        hints: Sequence[Hints] = (),
        starts: StartRules = WHEN_READY,
        calendar: Calendar | None = None,
        wall: Callable[[], float] | None = None,
        own: OwnWorker | None = None,
        spans: Spans | None = None,
    ) -> None:
        self.limits = limits
        self.code = code or UnknownCode()
        self._loop = loop
        self._journal = journal
        self._objects = objects
        self._entropy = entropy
        self._pid = os.getpid()
        self.stands_still = stands_still
        self._committer = Committer(loop, journal, blobs, objects, worker, self)
        self._own = Ownership(
            loop, journal, liveness, entropy, self._committer, worker, self,
            ttl_s=limits.lease_ttl_s, watch=watch, hints=hints)  # fmt: skip
        self._spans = spans
        self._driver = RunDriver(
            loop, trace, objects, worker, self._committer, limits, transactions, self, spans, own)  # fmt: skip
        self._delivery = Delivery(
            loop, journal, self._committer, entropy, self._own, limits, sinks or {}, rested=self.rested)  # fmt: skip
        self._opening = Opening(
            loop, journal, blobs, objects, entropy, self._committer, self._driver, limits, self._own,
            transactions, self, program, self.code,
            starts=starts,
        )  # fmt: skip
        self._signals = Signals(loop, journal, self._committer, limits)
        self._schedules = (
            ScheduleStarter(journal, self._committer, entropy, calendar, wall or loop.now, self) if calendar else None
        )
        self._leavings = Leavings(loop, journal, self._committer, entropy, self._own, self._opening.take_over)
        self._queues = QueueBook(journal, entropy)
        self._limits = FunctionLimits(loop, journal, self._committer, entropy, self._own, self._driver, own)
        self._closed = False
        self._broken: WeftrunError | None = None

    # ------------------------------------------------------------------ called by the author's threads

    @property
    def inline_bytes_max(self) -> int:
        """Encoded values up to this size travel inline; larger ones are to be published."""
        return self.limits.inline_bytes_max

    @property
    def commits(self) -> int:
        """How many transactions were committed."""
        return self._committer.commits

    @property
    def batches(self) -> BatchCounts:
        """What was given to Sandboxes since the engine was opened."""
        return self._driver.batches

    def start(
        self,
        id: RunId | None,
        function: FunctionSpec,
        bundle: Bundle,
        args: Payload,
        digest: str,
        also: tuple[str, ...] = (),
        *,
        wait_start: bool = True,
        durable: bool = True,
        is_fresh: bool = False,
        asked: QueueOptions | None = None,
        traceparent: str = "",
    ) -> Ticket:
        """Start a Run, or join the one that has this id (N2). One that is not `durable` keeps no record (N3).

        An id that `is_fresh` was drawn by chance for this Run, so that nobody looks for one that has it. Where
        something is `asked` of a queue, the Run is put there. `traceparent` is the context of whoever asks, as W3C has
        it; where it is empty, what runs in this thread counts.

        Returns once the start record is durable, or at once if not `wait_start`; errors of the start are then raised
        by `wait`. `also` are digests of the same arguments, written in another way. Raises `RunConflict` where the id
        is taken by another Function, other arguments or a tombstone; `QueueFull` where the queue has no room.
        """
        self.check()
        uid = RunUid(self._entropy.uid())
        ticket = Ticket(
            id if id is not None else RunId(f"{function.label}-{uid[:12]}"), uid, durable=durable, also=also
        )
        ticket.traceparent = traceparent or (self._spans.here() if self._spans is not None else "")
        start = Start(ticket, function, self.code.begun_with(bundle), args, digest, asked)
        is_named = id is not None and not is_fresh
        self._loop.call_from_thread(lambda: self._opening.start(start, is_named=is_named))
        if wait_start:
            ticket.started.wait(None)
            if ticket.error is not None:
                raise ticket.error
        return ticket

    def find(self, id: RunId, *, wait_start: bool = True) -> Ticket:
        """Return a ticket of a Run that exists; `RunNotFound` where there is none, by `wait` if not `wait_start`."""
        return self._asked(Ticket(id, RunUid("")), self._opening.find, wait_start=wait_start)

    def retry(self, id: RunId, *, wait_start: bool = True) -> Ticket:
        """Begin another life of a Run that failed, was cancelled, or waits for code, and return its ticket (L1).

        Raises `RunNotFound` where there is none, and `UsageError` where it goes on or has succeeded: here, or by `wait`
        if not `wait_start`.
        """
        return self._asked(Ticket(id, RunUid("")), self._opening.retry, wait_start=wait_start)

    def start_fork(self, id: RunId | None, asked: ForkAsked, *, wait_start: bool = True) -> Ticket:
        """Start a Run that is a fork of another one, or join the same fork that has this id; return as `start` does.

        Raises:
            RunNotFound: there is no Run to fork, or it was deleted.
            UsageError: it has not ended, or no fork can begin at the Step.
            RunConflict: the id belongs to another Run.
            JournalCorrupt: a value that is to be reused is gone.
        """
        uid = RunUid(self._entropy.uid())
        ticket = Ticket(id if id is not None else RunId(f"{asked.function.label}-{uid[:12]}"), uid)
        return self._asked(ticket, lambda ticket: self._opening.fork(ticket, asked), wait_start=wait_start)

    def _asked(self, ticket: Ticket, ask: Callable[[Ticket], None], *, wait_start: bool) -> Ticket:
        self.check()
        self._loop.call_from_thread(lambda: ask(ticket))
        if wait_start:
            ticket.started.wait(None)
            if ticket.error is not None:
                raise ticket.error
        return ticket

    def wait(self, ticket: Ticket, timeout_s: float | None) -> End:
        """Return the end of a Run; `TimeoutError` if it has not ended in `timeout_s` seconds."""
        self.check()
        if not ticket.ended.wait(timeout_s):
            raise TimeoutError(f"Run {ticket.id} has not ended within {timeout_s:g} s; it goes on.")
        if ticket.error is not None:
            raise ticket.error
        assert ticket.end is not None
        return ticket.end

    def when_started(self, ticket: Ticket, callback: Callable[[], None]) -> None:
        """Call back, on the loop, when a Run's start is durable, or can't be."""
        self.check()
        self._loop.call_from_thread(lambda: ticket.started.on_open(callback))

    def when_ended(self, ticket: Ticket, callback: Callable[[], None]) -> None:
        """Call back, on the loop, when a Run has ended."""
        self.check()
        self._loop.call_from_thread(lambda: ticket.ended.on_open(callback))

    def cancel(self, ticket: Ticket, *, force: bool = False) -> None:
        """Ask for a Run to be cancelled; one that has ended is left as it is. With `force` nothing of it is undone."""
        self.check()
        message = self._entropy.uid()
        self._loop.call_from_thread(lambda: self._cancel(ticket, message, force=force))

    def signal(self, ticket: Ticket, name: str, value: bytes, message: str) -> None:
        """Send a signal to a Run, and return once it is durable.

        Args:
            message: id of the signal: the same one again is the same signal; empty draws one.

        Raises:
            UsageError: the Run has ended, or keeps no records.
            LimitExceeded: it has too many signals that it has not taken.
        """
        self.check()
        if not ticket.durable:
            raise UsageError(
                f"{ticket.id} was started with durable=False: it has no inbox that a signal could be kept in."
            )
        sent: Reply[WeftrunError | None] = Reply()
        self.send_signal(ticket.uid, ticket.id, name, value, message, sent.done)
        error = sent.wait(self.check)
        if error is not None:
            raise error

    def send_signal(
        self, run: RunUid, id: RunId, name: str, value: bytes, message: str, told: Callable[[WeftrunError | None], None]
    ) -> None:
        """Send a signal to the Run with this id; `told` is called on the loop, with what kept it from being sent."""
        key = f"{run}/{message}" if message else self._entropy.uid()

        def is_sent() -> None:
            self._own.look_soon()
            told(None)

        def send() -> None:
            self._signals.send(Message(key, run, "signal", name, self._loop.now(), value), id, is_sent, told)

        self._loop.call_from_thread(send)

    def on_schedules(self, work: Callable[[ScheduleBook], T]) -> T:
        """Return what `work` makes of the schedules, or changes in them; it may be called again."""
        self.check()
        schedules = self._schedules
        if schedules is None:
            raise UsageError("This engine looks after no schedules.")
        reply: Reply[T] = Reply()
        self._loop.call_from_thread(
            lambda: self._committer.write(lambda: work(schedules.book), reply.done, reply.failed)
        )
        result = reply.wait(self.check)
        self._loop.call_from_thread(self._own.look_soon)
        return result

    def on_queues(self, work: Callable[[QueueBook], T]) -> T:
        """Return what `work` makes of the queues, or changes in them; it may be called again."""
        self.check()
        reply: Reply[T] = Reply()
        self._loop.call_from_thread(lambda: self._committer.write(lambda: work(self._queues), reply.done, reply.failed))
        result = reply.wait(self.check)
        self._loop.call_from_thread(self._own.look_soon)
        return result

    def status(self, ticket: Ticket) -> tuple[Status, str | None]:
        """Return the status of a Run and what it stands still for.

        That is `code` (that fits), `disk`, `lock` (of the Journal), `signal …`, `sleep`, `queue …`, `limit …`, or None.
        """
        if ticket.end is not None:
            return ticket.end.status, None
        is_queued = ticket.rests.startswith("queue ")
        status: Status = "running" if ticket.started.is_open and not is_queued else "pending"
        if ticket.parked:
            return status, "code"
        waits = ticket.durable and not ticket.ended.is_open
        return status, (self._committer.stuck or ticket.rests or None) if waits else None

    def rows(self, ticket: Ticket) -> list[Row]:
        """Return the durable rows of a Run, in order.

        Raises:
            UsageError: it keeps none (`durable=False`).
        """
        self.check_kept(ticket)
        return self._read(lambda: self._journal.load(ticket.uid))

    @staticmethod
    def check_kept(ticket: Ticket) -> None:
        """Raise `UsageError` where a Run keeps no records."""
        if not ticket.durable:
            raise UsageError(
                f"{ticket.id} was started with durable=False: of its Steps and what they printed nothing is kept."
            )

    def runs(self, limit: int, before: int | None = None) -> list[RunInfo]:
        """Return Runs, newest first; with `before` only those that are older than the one with this `place`."""
        return self._read(lambda: self._journal.runs(before=before, limit=limit))

    def publish(self, pieces: Sequence[bytes | memoryview]) -> Data:
        """Make an Object of an encoded value. It belongs to the Run that is started with it."""
        self.check()
        return self._objects.publish(pieces)

    def read(self, data: Data) -> bytes | memoryview:
        """Return the bytes of an answer."""
        if isinstance(data, Inline):
            return data.data
        if isinstance(data, Object):
            return self._objects.view(data.oid)
        raise TypeError("a blob is attached as an Object before it is read")

    def flush_trace(self) -> None:
        """Return when what Attempts have printed so far is in the trace."""
        self.check()
        written: Reply[None] = Reply()
        self._loop.call_from_thread(lambda: self._driver.trace.write(lambda: written.done(None)))
        written.wait(self.check)

    def broke(self, error: WeftrunError, cause: BaseException | None = None) -> None:
        """Stop for good, on the loop: `error` is what everybody gets from now on. What is durable stays."""
        if cause is not None:
            error.__cause__ = cause
        self._broken = error
        self._own.end()
        self._delivery.stop()
        self._driver.stop()
        self._fail_waiting(error)

    def open(self, recover: str, ready: Latch) -> None:
        """Begin: take over what dead engines left (`all`, `none`, or the id of one Run); opens `ready` when done."""
        self._loop.call_from_thread(lambda: self._opening.take_over.recover(recover, ready))
        if self._delivery.names:
            self._loop.call_from_thread(self._own.look)

    def drain(self, done: Latch) -> None:
        """Start nothing more; opens `done` when what runs has ended and everything known is durable."""
        self._loop.call_from_thread(lambda: self._drain(done))

    def end(self, closed: Latch) -> None:
        """Refuse everything from now on and let waiting threads go with `EngineClosed`; opens `closed` when done.

        The Journal is told as far as the disk allows: all Runs of this engine are free.
        """
        self._loop.call_from_thread(lambda: self._end(closed))

    @property
    def state(self) -> str:
        """What can be had of it: `open`, `closed` or `broken`."""
        if self._closed:
            return "closed"
        return "broken" if self._broken is not None else "open"

    def check(self) -> None:
        """Raise why this engine can't be used: it is closed, broken, or of another process."""
        if self._pid != os.getpid():
            raise EngineClosed("This engine was opened in another process; open one of its own after a fork.")
        if self._broken is not None:
            raise self._broken
        if self._closed:
            raise _closed()

    def refusal(self) -> WeftrunError | None:
        """Return why no Run can be opened now."""
        return self._broken or (_closed() if self._closed else None)

    def _read(self, work: Callable[[], T]) -> T:
        self.check()
        reply: Reply[T] = Reply()
        self._loop.call_from_thread(lambda: self._committer.read(work, reply.done, reply.failed))
        return reply.wait(self.check)

    # ------------------------------------------------------------------ cancelling and ending

    def _cancel(self, ticket: Ticket, message: str, *, force: bool) -> None:
        run = self._opening.runs.by_id.get(ticket.id) or self._opening.runs.unkept.get(ticket.id)
        if run is not None:
            self._driver.tell(run, CancelCame(self._loop.now(), message, force))
        elif ticket.durable and ticket.uid and ticket.end is None:
            posted = Message(message, ticket.uid, "cancel", FORCE if force else "")
            self._committer.write(lambda: self._journal.post(posted), lambda _: self._own.look_soon(), lambda _: None)

    # ------------------------------------------------------------------ among other engines (ownership.Reaction)

    def seen(self, seen: SeenJournal) -> None:
        """Take messages, free Runs, and what became of Runs of other engines."""
        by_uid = {run.uid: run for run in self._opening.runs.by_id.values()} if seen.messages else {}
        for message in seen.messages:
            run = by_uid.get(message.run)
            if run is None or self._opening.runs.by_id.get(run.id) is not run:
                continue
            if message.kind == "cancel":
                self._driver.tell(run, CancelCame(self._loop.now(), message.id, message.name == FORCE))
            for signal in signals_among((message,)):
                self._driver.tell(run, SignalCame(self._loop.now(), signal))
        self._opening.take_over.adopt(seen.free)
        self._opening.take_over.adopt_parked(seen.parked)
        self._delivery.wake(seen.sinks)
        self._opening.told_of(seen.asked_for, seen.waited_for)
        if self._schedules is not None:
            self._schedules.seen(seen.schedules)
        self._leavings.seen(seen.queues)

    def waited_for(self) -> Sequence[RunUid]:
        """Return Runs of other engines that somebody waits for here."""
        return self._opening.some_waited_for()

    def wanted(self) -> int:
        """Return how many free Runs to look for; 0 for none."""
        return self._opening.take_over.wanted()

    def owned(self) -> int:
        """Return how many open Runs this engine owns."""
        return len(self._opening.runs.by_id)

    def sinks(self) -> Sequence[str]:
        """Return the sinks that this engine has."""
        return () if self._closed else self._delivery.names

    def schedules_by(self) -> float | None:
        """Return what the clock of this host shows; None where no schedule is looked after."""
        return self._schedules.wall() if self._schedules is not None and not self._closed else None

    def lost(self) -> None:
        """All Runs and sinks of this engine are another one's now, or free."""
        self._opening.fenced()
        self._limits.fenced()
        self._delivery.fenced()

    # ------------------------------------------------------------------ what is due (schedules.Starting)

    def start_now(self, start: Start) -> None:
        """Start a Run that is due, or join the one that has its id."""
        self._opening.start(start, is_named=True)

    def look_soon(self) -> None:
        """Look at the Journal again: there is something new in it."""
        self._own.look_soon()

    # ------------------------------------------------------------------ what is committed (committer.CommitListener)

    def renewed(self, begun_at: float) -> None:
        """A transaction has renewed the Lease."""
        self._own.renewed(begun_at)

    def fenced(self) -> None:
        """Other engines have declared this one dead."""
        self._own.fenced()

    def rested(self) -> None:
        """Nothing is left to be done for now."""
        self._driver.rested()

    # ------------------------------------------------------------------ what happens to Runs (run_driver.RunListener)

    def id_taken(self, run: OpenRun) -> None:
        """Another engine was quicker to start a Run with this id."""
        self._opening.taken(run)

    def run_lost(self, run: OpenRun) -> None:
        """Another engine owns the Run now."""
        self._opening.lose(run)

    def lost_track(self, run: OpenRun, error: WeftrunError) -> None:
        """What became of a Run's last rows is not known: it goes on from what the Journal holds."""
        self._driver.trace.note(run.uid, f"A transaction of it was not committed, as far as is known: {error}")
        self._opening.take_over.begin_again(run)

    def time_comes(self, then: Callable[[], None]) -> None:
        """Tell Runs what is in the inbox, and go on: a signal that came in time is taken although nobody has looked."""

        def done(messages: list[Message]) -> None:
            self.seen(SeenJournal(messages=tuple(messages)))
            then()

        self._committer.read(self._journal.inbox, done, lambda _: then())

    def received(self, messages: Sequence[str]) -> None:
        """These signals are taken by rows that are durable."""
        self._signals.taken(messages)

    def waits_until(self, run: OpenRun, rest: Rest) -> None:
        """A Run does nothing but wait."""
        self._opening.suspend(run, rest)

    def parked(self, uid: RunUid) -> None:
        """A Run waits for other code."""
        self._opening.park(uid)

    def has_delivered(self) -> bool:
        """Return whether nothing that was emitted is being delivered."""
        return self._delivery.at_rest

    def emitted(self, run: OpenRun, sinks: frozenset[str]) -> None:
        """What a Run has emitted is in the outbox."""
        self._delivery.wake(sinks)
        for sentence in self._delivery.missing(sinks):
            self._driver.trace.note(run.uid, sentence)

    def run_ended(self, run: OpenRun) -> None:
        """A Run is open here no more."""
        self._opening.runs.remove(run)
        if run.queue:
            self._leavings.freed(run.queue)

    def queued(self, asked: QueueOptions) -> None:
        """A Run waits in a queue, and may leave it at once, or after its delay."""
        self._leavings.queued(asked.entry.queue, asked.delay_s)

    # ------------------------------------------------------------------ ending

    def _drain(self, done: Latch) -> None:
        self._closed = True
        self._driver.drain(done)

    def _end(self, closed: Latch) -> None:
        self._closed = True
        for run in self._opening.runs.unkept.values():
            gone = EngineClosed(f"The engine was closed before {run.id} ended; with durable=False it is gone.")
            for ticket in list(run.tickets):
                if not ticket.ended.is_open:
                    ticket.fail(gone)
        error = EngineClosed("The engine was closed before the Run ended; `weftrun resume` or the next engine goes on.")
        self._fail_waiting(self._broken or error)
        self._delivery.stop()
        self._signals.end()
        if self._schedules is not None:
            self._schedules.end()
        self._leavings.end()
        self._limits.end()
        self._own.end()
        self._driver.stop()
        if self._broken is None:
            for run in self._opening.runs.by_id.values():
                self._driver.trace.leaves(run)
            owned = [run.uid for run in self._opening.runs.by_id.values()]
            self._committer.give_up()
            self._opening.suspend_now()
            self._committer.put_back([*owned, *self._opening.take_over.under_way()])
            self._own.leave(closed.open)
        else:
            closed.open()
        self._driver.trace.write()

    def _fail_waiting(self, error: WeftrunError) -> None:
        for ticket in list(self._opening.asked):
            if not ticket.ended.is_open:
                ticket.fail(error)


def _closed() -> EngineClosed:
    return EngineClosed("The engine was closed. Open another one on the same Journal.")
