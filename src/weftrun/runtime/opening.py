"""How Runs come into an engine: started, joined by their id, found, or taken over from an engine that died."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from msgspec.structs import replace

from weftrun.machines.run import RunMachine
from weftrun.model.commands import StartRules
from weftrun.model.errors import LimitExceeded, RunConflict, RunNotFound, UsageError, WeftrunError
from weftrun.model.events import Resumed
from weftrun.model.ids import RunId, RunUid
from weftrun.model.limits import Limits
from weftrun.model.policy import Program
from weftrun.model.records import Ended, Row, Started
from weftrun.model.values import Object, Payload
from weftrun.model.visiting import blobs_in, change_data, distinct_objects
from weftrun.ports.blobs import Blobs
from weftrun.ports.code import Code
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import PARKED, Journal, Rest, RunInfo, how_it_stands
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.ports.transactions import Transactions
from weftrun.runtime.blobs import BlobReader
from weftrun.runtime.committer import Committer
from weftrun.runtime.enqueuing import Enqueuing, conflict_of
from weftrun.runtime.forking import ForkAsked, Forking
from weftrun.runtime.ownership import Ownership
from weftrun.runtime.run_driver import RunDriver
from weftrun.runtime.runs import OpenRun, OpenRuns, Start, hold_answer, joins
from weftrun.runtime.suspend import Suspending
from weftrun.runtime.takeover import EngineState, TakeOver
from weftrun.runtime.tickets import Ticket, Tickets

_NOT_COMPARED = (
    "A start with this id joined the Run; arguments not compared, because something in them, or in those that it was "
    "started with, has no canonical encoding."
)


_ALL_HEARD = 2**62
"""No signal wakes a Run that waits for code: it could not take it."""

_ASKED_FOR_MAX = 1_000
"""Runs of other engines that are asked for in one look."""


class Opening:
    """Opens Runs. Everything here runs on the loop.

    Args:
        transactions, program, code: see `TakeOver`.

    Attributes:
        runs: those that this engine owns.
        take_over: what brings in those that nobody owns.
        waited_for: tickets of Runs that other engines own.
        asked: everybody who waits for a Run, or has waited; held weakly, and told when the engine breaks.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        objects: Objects,
        entropy: Entropy,
        committer: Committer,
        driver: RunDriver,
        limits: Limits,
        own: Ownership,
        transactions: Transactions | None,
        engine: EngineState,
        program: Program | None,
        code: Code,
        *,
        starts: StartRules,
    ) -> None:
        self.waited_for: dict[RunUid, Tickets] = {}
        self.asked = Tickets()
        self._loop = loop
        self._journal = journal
        self._objects = objects
        self._entropy = entropy
        self._committer = committer
        self._driver = driver
        self._limits = limits
        self._own = own
        self._engine = engine
        self._starts = starts
        self._hash_seed = journal.meta().hash_seed
        self._starting: dict[RunId, list[Callable[[], None]]] = {}
        self._stored = BlobReader(loop, blobs, objects)
        self._suspending = Suspending(loop, journal, committer)
        self._enqueuing = Enqueuing(loop, journal, blobs, objects, committer, entropy, self, self._hash_seed)
        self._asked_last: tuple[RunUid, ...] = ()
        self.runs = OpenRuns(driver, own)
        self.take_over = TakeOver(
            loop,
            journal,
            committer,
            driver,
            limits,
            own,
            self._stored,
            self.runs,
            transactions,
            engine,
            self,
            program,
            code,
            starts=starts,
        )
        self._forking = Forking(
            loop, journal, blobs, objects, committer, driver, self._stored, self.take_over, self
        )  # fmt: skip

    # ------------------------------------------------------------------ starting

    def start(self, start: Start, *, is_named: bool) -> None:
        """Start a Run, or join the one that has its id; `is_named` says whether there may be one.

        Takes over the one holder of an Object in the arguments: a new Run keeps it, any other end releases it.
        """
        ticket = start.ticket
        self.asked.add(ticket)
        if self._refused(ticket):
            self._release(start.args)
            return
        if not is_named:
            self._create(start)
            return
        run = self.runs.by_id.get(ticket.id)
        if run is not None:
            self._release(start.args)
            self._join(ticket, self._info_of(run), start.function.name, start.digest)
            return
        waiting = self._starting.get(ticket.id)
        if waiting is not None:
            waiting.append(lambda: self.start(start, is_named=True))
            return
        self._starting[ticket.id] = []

        def found(info: RunInfo | None) -> None:
            if info is None:
                self._create(start)
            else:
                self._release(start.args)
                self._join(ticket, info, start.function.name, start.digest)
            go_on()

        def failed(error: WeftrunError) -> None:
            self._release(start.args)
            ticket.fail(error)
            go_on()

        def go_on() -> None:
            for again in self._starting.pop(ticket.id):
                again()

        self._committer.read(lambda: self._journal.find(ticket.id), found, failed)

    def _refused(self, ticket: Ticket) -> bool:
        refusal = self._engine.refusal()
        if refusal is not None:
            ticket.fail(refusal)
            return True
        if len(self.runs.by_id) + len(self.runs.unkept) >= self._limits.runs_open_max:
            ticket.fail(
                LimitExceeded(
                    f"This engine has {self._limits.runs_open_max:,} open Runs, as many as it may (runs_open_max). "
                    "Wait until some have ended."
                )
            )
            return True
        return False

    def _release(self, args: Payload) -> None:
        if isinstance(args.data, Object):
            self._objects.release(args.data.oid)

    def _create(self, start: Start) -> None:
        if start.asked is not None:
            self._enqueuing.add(start)
            return
        ticket, function, bundle, args, digest = start.ticket, start.function, start.bundle, start.args, start.digest
        started = Started(ticket.id, function, bundle, args, digest, self._hash_seed)
        number = self.runs.next_number()
        machine = RunMachine.new(number, ticket.uid, started, self._limits, durable=ticket.durable, starts=self._starts)
        run = OpenRun(number, ticket.id, ticket.uid, machine, function.name, bundle, digest, durable=ticket.durable)
        if isinstance(args.data, Object):
            run.held.add(args.data.oid)
        run.traceparent = ticket.traceparent
        run.tickets.add(ticket)
        if ticket.durable:
            run.start = start
        else:
            ticket.started.open()
        self.runs.add(run)
        self._driver.tell(run, Resumed(self._loop.now()))

    def placed(self, start: Start) -> None:
        """A start is durable: its Run waits in its queue."""
        assert start.asked is not None
        start.ticket.rests = f"queue {start.asked.entry.queue}"
        self.wait_for(start.ticket.uid, start.ticket)
        self._engine.queued(start.asked)

    def was_there(self, start: Start, run: RunUid) -> None:
        """A start is one of a Run that is there already; empty where it has the id of another one (N2)."""
        ticket, name = start.ticket, start.function.name

        def found(infos: Sequence[RunInfo]) -> None:
            if not infos:
                ticket.fail(RunConflict(f"The id {ticket.id!r} was taken and freed at the same time; start it again."))
            elif not run:
                self._join(ticket, infos[0], name, start.digest)
            elif infos[0].function != name:
                ticket.fail(conflict_of(start, infos[0].function, infos[0].id))
            else:
                ticket.id = infos[0].id
                self._join(ticket, infos[0], "", "")

        def read() -> Sequence[RunInfo]:
            if run:
                return self._journal.infos([run])
            info = self._journal.find(ticket.id)
            return [info] if info is not None else []

        self._committer.read(read, found, ticket.fail)

    def taken(self, run: OpenRun) -> None:
        """Another engine was quicker to start a Run with this id: whoever waits here joins it, if it fits (N2)."""
        tickets = list(run.tickets)
        self._driver.forsake(run)

        def found(info: RunInfo | None) -> None:
            for ticket in tickets:
                if info is None:
                    ticket.fail(RunConflict(f"The id {run.id!r} was taken and freed at the same time; start it again."))
                else:
                    self._join(ticket, info, run.function, run.digest)

        def failed(error: WeftrunError) -> None:
            for ticket in tickets:
                ticket.fail(error)

        self._committer.read(lambda: self._journal.find(run.id), found, failed)

    def _info_of(self, run: OpenRun) -> RunInfo:
        return RunInfo(run.id, run.uid, run.function, "running", 0.0, None, run.epoch, 0, run.digest, "", "")

    def _join(self, ticket: Ticket, info: RunInfo, function: str, digest: str) -> None:
        """Make a ticket one of the Run that has its id, if it fits."""
        why = joins(info, function, digest, ticket.also) if function else ""
        if why:
            ticket.fail(RunConflict(why))
            return
        if function and not (digest and info.digest):
            ticket.compared = False
            self._driver.trace.note(info.uid, _NOT_COMPARED)
        ticket.uid = info.uid
        ticket.joined = True
        run = self.runs.by_id.get(ticket.id)
        if run is not None:
            run.tickets.add(ticket)
            ticket.begun_otherwise = self.take_over.begun_otherwise(run.bundle)
            if run.start is None:
                ticket.started.open()
        elif info.ended_at is not None:
            ticket.ended_before = info.ended_at
            self._committer.read(
                lambda: self._journal.load(info.uid), lambda rows: self._reopen(ticket, rows), ticket.fail
            )
        elif info.owner or (info.due_at > self._loop.now() and not info.is_parked):
            ticket.rests = info.waiting_for or ""
            self.wait_for(info.uid, ticket)
            if info.owner:
                self._own.hinted.watch(info.uid)
        else:
            self.take_over.join(info, ticket)

    def wait_for(self, uid: RunUid, ticket: Ticket) -> None:
        """Let a ticket wait for a Run that another engine owns."""
        self.waited_for.setdefault(uid, Tickets()).add(ticket)
        ticket.started.open()
        self._own.look_later()

    def find(self, ticket: Ticket) -> None:
        """Make a ticket one of the Run that has its id, if there is one."""
        self.asked.add(ticket)
        if self._refused(ticket):
            return
        run = self.runs.by_id.get(ticket.id)
        if run is not None:
            self._join(ticket, self._info_of(run), "", "")
            return

        def found(info: RunInfo | None) -> None:
            if info is None:
                ticket.fail(RunNotFound(f"No Run has the id {ticket.id!r}."))
            elif info.deleted:
                ticket.fail(RunNotFound(f"The Run {ticket.id} was deleted; only its id is kept."))
            else:
                self._join(ticket, info, "", "")

        self._committer.read(lambda: self._journal.find(ticket.id), found, ticket.fail)

    def retry(self, ticket: Ticket) -> None:
        """Make a ticket one of another life of the Run that has its id (L1)."""
        self.asked.add(ticket)
        if self._refused(ticket):
            return

        def found(info: RunInfo | None) -> None:
            if info is None or info.deleted:
                ticket.fail(RunNotFound(f"No Run has the id {ticket.id!r}."))
            elif not info.can_be_retried:
                ticket.fail(UsageError(f"Run {info.id} can't be retried: it {how_it_stands(info)}."))
            else:
                ticket.uid = info.uid
                ticket.joined = True
                self.take_over.retry(info, ticket)

        self._committer.read(lambda: self._journal.find(ticket.id), found, ticket.fail)

    def fork(self, ticket: Ticket, asked: ForkAsked) -> None:
        """Make a ticket one of a new Run that is a fork; see `Forking`."""
        self.asked.add(ticket)
        if self._refused(ticket):
            if asked.args is not None:
                self._release(asked.args)
        else:
            self._forking.fork(ticket, asked)

    def joined(self, ticket: Ticket, info: RunInfo) -> None:
        """Make a ticket one of a Run that is there."""
        self._join(ticket, info, "", "")

    def _reopen(self, ticket: Ticket, rows: list[Row]) -> None:
        """Give the answer of a Run that ended before, from its records alone."""
        if not rows or not isinstance(rows[-1].records[-1], Ended):  # it was deleted, or retried, since it was found
            ticket.ended_before = None
            self.find(ticket)
            return
        started = rows[0].records[0]
        if isinstance(started, Started):
            ticket.begun_otherwise = self.take_over.begun_otherwise(started.bundle)
        end = RunMachine.answer_of(ticket.uid, rows, self._limits)

        def give() -> None:
            held: list[Object] = []
            given = change_data(end, lambda data: self._stored.attached(data, held))
            hold_answer(ticket, distinct_objects((given.answer,)), self._objects)
            for obj in held:
                self._objects.release(obj.oid)
            ticket.succeed(given)

        self._stored.verify(blobs_in(end), give, ticket.fail)

    # ------------------------------------------------------------------ Runs of other engines

    def told_of(self, uids: Sequence[RunUid], infos: Sequence[RunInfo]) -> None:
        """Take what was seen of the Runs that tickets wait for: they ended, became free, or are gone."""
        known = {info.uid: info for info in infos}
        now = self._loop.now()
        for uid in uids:
            tickets = list(self.waited_for.get(uid, ()))
            info = known.get(uid)
            waits = info is not None and info.ended_at is None and not info.is_parked
            if info is not None and waits and (info.owner or info.due_at > now) and tickets:
                if info.owner:
                    self._own.hinted.watch(uid)
                for ticket in tickets:
                    ticket.rests = info.waiting_for or ""
                continue
            self._wait_no_more(uid)
            for ticket in tickets:
                if info is None or info.deleted:
                    ticket.fail(RunNotFound(f"Run {ticket.id!r} was deleted by another process."))
                else:
                    self._join(ticket, info, "", "")

    def some_waited_for(self) -> Sequence[RunUid]:
        """Return Runs of other engines that somebody waits for here: of very many, a part that changes each time."""
        uids = list(self.waited_for)
        if len(uids) > _ASKED_FOR_MAX:
            # Whoever was asked for goes to the end.
            for uid in self._asked_last:
                if uid in self.waited_for:
                    self.waited_for[uid] = self.waited_for.pop(uid)
            uids = list(islice(self.waited_for, _ASKED_FOR_MAX))
        self._asked_last = tuple(uids)
        return uids

    def came(self, uid: RunUid) -> list[Ticket]:
        """Return the tickets that waited for a Run which is this engine's now."""
        return self._wait_no_more(uid)

    def _wait_no_more(self, uid: RunUid) -> list[Ticket]:
        self._own.hinted.forget(uid)
        return list(self.waited_for.pop(uid, ()))

    def suspend(self, run: OpenRun, rest: Rest) -> None:
        """Suspend a Run that does nothing but wait; who waits for it here waits as for one of another engine.

        Not where free Runs are not looked for: nobody would take it again when it is due.
        """
        if not self.take_over.adopts:
            return
        self._driver.forsake(run)
        for ticket in list(run.tickets):
            ticket.rests = rest.what
            self.wait_for(run.uid, ticket)
        self._suspending.add(run.uid, rest)

    def park(self, uid: RunUid) -> None:
        """Suspend a Run whose code does not fit: nobody owns it until other code is there."""
        self.take_over.tried(uid)
        self._suspending.add(uid, Rest(PARKED, heard=_ALL_HEARD))

    def suspend_now(self) -> None:
        """Write at once which Runs only wait, or are parked: the engine is being closed."""
        self._suspending.now()

    def fenced(self) -> None:
        """Other engines have taken this one for dead: all its Runs are another one's now, or free."""
        self._committer.drop_all()
        self._suspending.forget()
        self.take_over.fenced()
        for run in list(self.runs.by_id.values()):
            self.lose(run)

    def lose(self, run: OpenRun) -> None:
        """Another engine owns the Run now: who waits for it here waits for that one.

        Where the start was not known to be durable, it is asked for again, by the same id: it may be there, or not.
        """
        if self.runs.by_id.get(run.id) is not run:
            return  # it was forsaken before
        start, tickets = run.start, list(run.tickets)
        if start is None:
            self._driver.forsake(run)
            for ticket in tickets:
                self.wait_for(run.uid, ticket)
            return
        for ticket in tickets:
            if isinstance(start.args.data, Object):
                self._objects.hold(start.args.data.oid)
            # A Run of its own, should the row that was on its way still come to be.
            ticket.uid = RunUid(self._entropy.uid())
            again = replace(start, ticket=ticket)
            self._loop.call_soon(partial(self.start, again, is_named=True))
        self._driver.forsake(run)
