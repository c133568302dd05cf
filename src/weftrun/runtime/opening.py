"""How Runs come into an engine: started, joined by their id, found, or taken over from an engine that died."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

from weftrun.machines.run import RunMachine, changed_code
from weftrun.model.errors import JournalCorrupt, LimitExceeded, RunConflict, RunNotFound, WeftrunError
from weftrun.model.events import Parked, Resumed
from weftrun.model.ids import RunId, RunUid
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.records import Row, Started
from weftrun.model.values import Blob, Data, Object, Payload
from weftrun.ports.blobs import Blobs
from weftrun.ports.journal import Journal, RunInfo
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.runtime.committer import Committer
from weftrun.runtime.dispatch import Dispatch
from weftrun.runtime.durable import blobs_of_end, blobs_of_rows, change_end, change_row
from weftrun.runtime.runs import OpenRun, answer_objects, hold_answer, joins
from weftrun.runtime.tickets import Latch, Ticket

_NOT_COMPARED = (
    "A start with this id joined the Run; arguments not compared, because something in them has no canonical encoding."
)


class Opening:
    """Opens Runs. Everything here runs on the loop.

    Args:
        refusal: returns why no Run can be opened now, or None.
        broke: called with an error after which the engine can't go on.
        watch: called when a Run was opened.
        version_here: returns the version of a Function as this process has it, or nothing.

    Attributes:
        by_id: the Runs that this engine owns.
        unkept: Runs that keep no record (N3), by the name that errors give them.
        asked: everybody who waits for a Run, or has waited; held weakly, and told when the engine breaks.
    """

    def __init__(
        self,
        loop: Loop,
        journal: Journal,
        blobs: Blobs,
        objects: Objects,
        committer: Committer,
        dispatch: Dispatch,
        limits: Limits,
        *,
        refusal: Callable[[], WeftrunError | None],
        broke: Callable[[WeftrunError], None],
        watch: Callable[[], None],
        version_here: Callable[[str], str],
    ) -> None:
        self.by_id: dict[RunId, OpenRun] = {}
        self.unkept: dict[RunId, OpenRun] = {}
        self.asked: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self._loop = loop
        self._journal = journal
        self._blobs = blobs
        self._objects = objects
        self._committer = committer
        self._dispatch = dispatch
        self._limits = limits
        self._refusal = refusal
        self._broke = broke
        self._watch = watch
        self._version_here = version_here
        self._hash_seed = journal.meta().hash_seed
        self._starting: dict[RunId, list[Callable[[], None]]] = {}
        self._taking: dict[RunUid, list[Ticket]] = {}
        self._numbers = 0

    # ------------------------------------------------------------------ starting

    def start(
        self, ticket: Ticket, named: bool, function: FunctionSpec, bundle: Bundle, args: Payload, digest: str
    ) -> None:
        """Start a Run, or join the one that has its id; `named` says whether the author chose the id.

        Takes over the one holder of an Object in `args`: a new Run keeps it, any other end lets it go.
        """
        self.asked.add(ticket)
        if self._refused(ticket):
            self._let_go(args)
            return
        if not named:
            self._create(ticket, function, bundle, args, digest)
            return
        run = self.by_id.get(ticket.id)
        if run is not None:
            self._let_go(args)
            self._join(ticket, self._info_of(run), function.name, digest)
            return
        waiting = self._starting.get(ticket.id)
        if waiting is not None:
            waiting.append(lambda: self.start(ticket, named, function, bundle, args, digest))
            return
        self._starting[ticket.id] = []

        def found(info: RunInfo | None) -> None:
            if info is None:
                self._create(ticket, function, bundle, args, digest)
            else:
                self._let_go(args)
                self._join(ticket, info, function.name, digest)
            go_on()

        def failed(error: WeftrunError) -> None:
            self._let_go(args)
            ticket.fail(error)
            go_on()

        def go_on() -> None:
            for again in self._starting.pop(ticket.id):
                again()

        self._committer.ask(lambda: self._journal.find(ticket.id), found, failed)

    def _refused(self, ticket: Ticket) -> bool:
        refusal = self._refusal()
        if refusal is not None:
            ticket.fail(refusal)
            return True
        if len(self.by_id) + len(self.unkept) >= self._limits.runs_open_max:
            ticket.fail(
                LimitExceeded(
                    f"This engine has {self._limits.runs_open_max:,} open Runs, as many as it may (runs_open_max). "
                    "Wait until some have ended."
                )
            )
            return True
        return False

    def _let_go(self, args: Payload) -> None:
        if isinstance(args.data, Object):
            self._objects.release(args.data.oid)

    def _create(self, ticket: Ticket, function: FunctionSpec, bundle: Bundle, args: Payload, digest: str) -> None:
        started = Started(ticket.id, function, bundle, args, digest, self._hash_seed)
        self._numbers += 1
        machine = RunMachine.new(self._numbers, ticket.uid, started, self._limits, durable=ticket.durable)
        run = OpenRun(self._numbers, ticket.id, ticket.uid, machine, function.name, bundle, digest)
        if isinstance(args.data, Object):
            run.held.add(args.data.oid)
        run.tickets.add(ticket)
        if ticket.durable:
            run.first = ticket
            self._open(run)
        else:
            run.durable = False
            ticket.started.open()
            self.unkept[run.id] = run
            self._dispatch.opened(run)
        self._dispatch.tell(run, Resumed(self._loop.now()))

    def _open(self, run: OpenRun) -> None:
        self.by_id[run.id] = run
        self._dispatch.opened(run)
        self._watch()

    def _info_of(self, run: OpenRun) -> RunInfo:
        return RunInfo(run.id, run.uid, run.function, "running", 0.0, None, run.epoch, 0, run.digest, "", "")

    def _join(self, ticket: Ticket, info: RunInfo, function: str, digest: str) -> None:
        """Make a ticket one of the Run that has its id, if it fits."""
        why = joins(info, function, digest) if function else ""
        if why:
            ticket.fail(RunConflict(why))
            return
        if function and not (digest and info.digest):
            self._dispatch.note(info.uid, _NOT_COMPARED)
        ticket.uid = info.uid
        ticket.joined = True
        run = self.by_id.get(ticket.id)
        if run is not None:
            run.tickets.add(ticket)
            ticket.started.open()
        elif info.ended_at is not None:
            self._committer.ask(
                lambda: self._journal.load(info.uid), lambda rows: self._reopen(ticket, rows), ticket.fail
            )
        else:
            self._take_over(info, ticket)

    def find(self, ticket: Ticket) -> None:
        """Make a ticket one of the Run that has its id, if there is one."""
        self.asked.add(ticket)
        if self._refused(ticket):
            return
        run = self.by_id.get(ticket.id)
        if run is not None:
            self._join(ticket, self._info_of(run), "", "")
            return

        def found(info: RunInfo | None) -> None:
            if info is None or info.deleted:
                ticket.fail(RunNotFound(f"No Run has the id {ticket.id!r}."))
            else:
                self._join(ticket, info, "", "")

        self._committer.ask(lambda: self._journal.find(ticket.id), found, ticket.fail)

    def _reopen(self, ticket: Ticket, rows: list[Row]) -> None:
        """Give the answer of a Run that ended before, from its records alone."""
        end = RunMachine.answer_of(ticket.uid, rows, self._limits)

        def give() -> None:
            held: list[Object] = []
            given = change_end(end, lambda data: self._attached(data, held))
            hold_answer(ticket, answer_objects(given.answer), self._objects)
            for obj in held:
                self._objects.release(obj.oid)
            ticket.succeed(given)

        self._verify(blobs_of_end(end), give, ticket.fail)

    def _attached(self, data: Data, held: list[Object]) -> Data:
        """Return an Object for a blob, and other data as it is."""
        if not isinstance(data, Blob):
            return data
        obj = self._objects.attach(data)
        held.append(obj)
        return obj

    def _verify(self, blobs: Sequence[Blob], then: Callable[[], None], failed: Callable[[WeftrunError], None]) -> None:
        """Read each blob once, outside the loop, before anybody is given what is in them."""
        errors: list[WeftrunError] = []

        def work() -> None:
            try:
                for blob in dict.fromkeys(blobs):
                    if not self._blobs.verify(blob):
                        raise JournalCorrupt(f"The blob {blob.sha256} is damaged. Restore it from a backup.")
            except WeftrunError as error:
                errors.append(error)

        if blobs:
            self._loop.offload(work, lambda: failed(errors[0]) if errors else then(), lane="blobs")
        else:
            then()

    # ------------------------------------------------------------------ taking over

    def recover(self, recover: str, ready: Latch) -> None:
        """Take over what a dead engine left: `all`, `none`, or the Run with this id; then open `ready`."""

        def found(infos: list[RunInfo]) -> None:
            for info in infos:
                if recover in ("all", info.id) and info.id not in self.by_id:
                    self._take_over(info, None)
            self._committer.ask(lambda: None, lambda _: ready.open(), lambda _: ready.open())

        def failed(error: WeftrunError) -> None:
            self._broke(error)
            ready.open()

        if recover == "none":
            ready.open()
        else:
            self._committer.ask(self._journal.open_runs, found, failed)

    def _take_over(self, info: RunInfo, ticket: Ticket | None) -> None:
        """Go on with a Run that no engine owns. Whoever asks for it meanwhile gets it too."""
        tickets = [ticket] if ticket is not None else []
        taking = self._taking.get(info.uid)
        if taking is not None:
            taking.extend(tickets)
            return
        self._taking[info.uid] = tickets

        def work() -> tuple[RunInfo, list[Row]]:
            return self._journal.claim(info.uid), self._journal.load(info.uid)

        def done(result: tuple[RunInfo, list[Row]]) -> None:
            claimed, rows = result
            blobs = blobs_of_rows(rows)
            self._verify(blobs, lambda: self._resume(claimed, rows, blobs, self._taking.pop(info.uid)), failed)

        def failed(error: WeftrunError) -> None:
            del self._taking[info.uid]
            for waiting in tickets:
                waiting.fail(error)
            if isinstance(error, JournalCorrupt):
                # This Run can't go on; it stays as it is, and the others do go on.
                self._committer.put_back([info.uid])
            elif not tickets:
                self._broke(error)

        self._committer.ask(work, done, failed)

    def _resume(self, info: RunInfo, rows: list[Row], blobs: Sequence[Blob], tickets: list[Ticket]) -> None:
        held: list[Object] = []
        if blobs:
            rows = [change_row(row, lambda data: self._attached(data, held)) for row in rows]
        started = rows[0].records[0]
        assert isinstance(started, Started)
        self._numbers += 1
        machine = RunMachine.resume(self._numbers, info.uid, rows, self._limits)
        run = OpenRun(self._numbers, info.id, info.uid, machine, info.function, started.bundle, info.digest)
        run.epoch = info.epoch
        run.held.update(obj.oid for obj in held)
        for obj, blob in zip(held, blobs, strict=True):
            self._committer.known(obj.oid, blob)
        for ticket in tickets:
            run.tickets.add(ticket)
            ticket.started.open()
        self._open(run)
        self._dispatch.note(run.uid, "", epoch=run.epoch)
        self._dispatch.note(run.uid, changed_code(rows, self._version_here))
        now = self._loop.now()
        if info.takeovers > self._limits.takeovers_max:
            times = info.takeovers - 1
            text = f"the Run was taken over {times} times without a new record; something in it ends its engine"
            self._dispatch.tell(run, Parked(now, Failure(Reason.LOST, "RunParked", text)))
        else:
            self._dispatch.tell(run, Resumed(now))
