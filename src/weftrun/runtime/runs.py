"""Open Runs: each with its machine, its Objects and the tickets that wait for it."""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Protocol

from msgspec import Struct

from weftrun.machines.run import RunMachine
from weftrun.model.commands import End
from weftrun.model.errors import JournalError, ReplayDiverged, WeftrunError
from weftrun.model.events import AttemptsEnded, BodyReturned, ItemsEnded, RunEvent
from weftrun.model.ids import ObjectId, RunId, RunUid
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.queues import QueueOptions
from weftrun.model.records import Received, Row, emits_in
from weftrun.model.values import Payload
from weftrun.model.visiting import distinct_objects
from weftrun.model.work import AttemptAt
from weftrun.ports.journal import RunInfo
from weftrun.ports.loop import Handle
from weftrun.ports.objects import Objects
from weftrun.runtime.tickets import Ticket, Tickets


class Start(Struct, frozen=True):
    """A start as it was asked for. An Object in `args` has one holder, which whoever has this releases.

    Attributes:
        asked: of the queue that its Run is put into; None where it begins at once.
    """

    ticket: Ticket
    function: FunctionSpec
    bundle: Bundle
    args: Payload
    digest: str
    asked: QueueOptions | None = None


class OpenRun:
    """A Run that this engine owns.

    Attributes:
        number: how the machines and Invocations call it.
        epoch: under which its rows are appended.
        taken_over: whether another engine began it, or put it into a queue.
        queue: that it has left; empty where it was in none.
        durable: whether it keeps records, and a trace.
        held: Objects that the Run holds: each one once.
        puts: Attempts that wait for what they have put durably to be fixed, by Step and number.
        emitted: sinks that rows on their way to the Journal emit to, with the seq of each row.
        received: signals that rows on their way to the Journal take, with the seq of each row.
        noted, left_out, handed, moves, came: how many Batches of it, Steps without a record, calls and types of
            signals, Attempts that moved Objects, and Objects that came to other hosts the trace has.
        traceparent: see `Ticket`; of a Run that was not started here, empty.
        start: what was asked for, until its record is durable.
        tickets: whom to tell of the end; held weakly, since a Run goes on when nobody waits.
    """

    __slots__ = (
        "_waited_s",
        "_waits",
        "bundle",
        "came",
        "digest",
        "durable",
        "emitted",
        "epoch",
        "function",
        "handed",
        "held",
        "id",
        "left_out",
        "machine",
        "moves",
        "noted",
        "number",
        "puts",
        "queue",
        "received",
        "start",
        "taken_over",
        "tickets",
        "timer",
        "traceparent",
        "uid",
    )

    def __init__(
        self, number: int, id: RunId, uid: RunUid, machine: RunMachine, function: str, bundle: Bundle, digest: str,
        *, durable: bool = True, epoch: int = 1, queue: str = "",
    ) -> None:  # fmt: skip
        self.number = number
        self.id = id
        self.uid = uid
        self.machine = machine
        self.function = function
        self.bundle = bundle
        self.digest = digest
        self.epoch = epoch
        self.queue = queue
        self.taken_over = epoch > 1 or bool(queue)
        self.durable = durable
        self.held: set[ObjectId] = set()
        self.puts: dict[tuple[int, int], list[AttemptAt]] = {}
        self.emitted: list[tuple[int, str]] = []
        self.received: list[tuple[int, str]] = []
        self.tickets = Tickets()
        self.timer: Handle | None = None
        self.traceparent = ""
        self.start: Start | None = None
        self.handed = 0
        self.noted = 0
        self.moves = 0
        self.came = 0
        self.left_out = 0
        self._waits = 0
        self._waited_s = 0.0

    def new_waits(self) -> int:
        """Return how many Attempts have begun to wait for the disk since the last call."""
        waits = self.machine.state.waits
        new, self._waits = waits - self._waits, waits
        return new

    def new_wait_s(self) -> float:
        """Return for how long some Attempt has waited for the disk since the last call, in seconds."""
        state = self.machine.state
        waited_s = state.gated_s + (state.now - state.gated_since if state.gated else 0.0)
        new, self._waited_s = waited_s - self._waited_s, waited_s
        return new

    def emitted_until(self, seq: int) -> frozenset[str]:
        """Return the sinks that rows up to `seq` emit to, each row once."""
        sinks = frozenset(sink for at, sink in self.emitted if at <= seq)
        self.emitted = [(at, sink) for at, sink in self.emitted if at > seq]
        return sinks

    def received_until(self, seq: int) -> list[str]:
        """Return the signals that rows up to `seq` take, each once."""
        taken = [message for at, message in self.received if at <= seq]
        self.received = [(at, message) for at, message in self.received if at > seq]
        return taken

    def note_row(self, row: Row) -> None:
        """Note what is to be told when a row is durable: which sinks it emits to, and which signals it takes."""
        for record in row.records:
            if type(record) is Received:
                self.received.append((row.seq, record.message))
        for _, emit in emits_in(row.records):
            self.emitted.append((row.seq, emit.sink))

    def give_answer(self, end: End, objects: Objects) -> None:
        """Tell all tickets; each holds the answer's Objects as long as it lives. Lets go of everything else."""
        answer = distinct_objects((end.answer,))
        for ticket in list(self.tickets):
            hold_answer(ticket, answer, objects)
            ticket.succeed(end)


class Owner(Protocol):
    """What must know how many Runs are open."""

    def counted(self, runs: int) -> None:
        """Say how many Runs this engine owns."""


class Driver(Protocol):
    """What runs the machines of open Runs."""

    def opened(self, run: OpenRun) -> None:
        """A Run may be told events from now on."""


class OpenRuns:
    """The open Runs of this engine.

    Attributes:
        by_id: those that it owns.
        unkept: those that keep no record (N3), by the name that errors give them. Nobody owns them: nobody else knows.
        of_queues: how many that it owns have left each queue.
    """

    def __init__(self, driver: Driver, owner: Owner) -> None:
        self.by_id: dict[RunId, OpenRun] = {}
        self.unkept: dict[RunId, OpenRun] = {}
        self.of_queues: Counter[str] = Counter()
        self._driver = driver
        self._owner = owner
        self._numbers = 0

    def next_number(self) -> int:
        """Return the number of the next Run."""
        self._numbers += 1
        return self._numbers

    def add(self, run: OpenRun) -> None:
        """A Run is open here, and this engine's if it keeps records."""
        (self.by_id if run.durable else self.unkept)[run.id] = run
        if run.queue:
            self.of_queues[run.queue] += 1
        self._driver.opened(run)
        if run.durable:
            self._owner.counted(len(self.by_id))

    def remove(self, run: OpenRun) -> None:
        """It is open here no more."""
        self.unkept.pop(run.id, None)
        if self.by_id.get(run.id) is run:
            del self.by_id[run.id]
            if run.queue:
                self.of_queues[run.queue] -= 1
            self._owner.counted(len(self.by_id))


_OF_THE_CODE = (Reason.UNLOADABLE, Reason.UNREADABLE, Reason.RAISED, Reason.MISUSE)


def unfit(event: RunEvent) -> Failure | None:
    """Return the failure of an event that tells that a Run's code can't be loaded here, or does not fit its record.

    One that has an origin is of a Step: on record, and passed on by a body that has a Sandbox, or raised by the author.
    """
    failures: list[Failure | None] = []
    match event:
        case AttemptsEnded():
            failures = [ended.failure for ended in event.ended]
        case ItemsEnded():
            failures = [failure for _, failure in event.failures]
        case BodyReturned():
            failures = [event.failure]
        case _:
            pass
    return next((f for f in failures if f is not None and f.reason in _OF_THE_CODE and not f.origin), None)


def parked_error(id: RunId, failure: Failure) -> WeftrunError:
    """Return what those are told who wait for a Run whose code does not fit it."""
    if failure.reason is Reason.UNLOADABLE:
        return JournalError(f"Run {id} can't go on here and stays as it is, parked until it can: {failure.message}")
    other = f", or another way with the code of now (`weftrun retry {id}`)" if failure.origin else ""
    return ReplayDiverged(
        f"Run {id} is parked, and nothing of it is lost: {failure.message.rstrip('.')}. It goes on with code that fits "
        f"(`weftrun resume {id}`){other}."
    )


def hold_answer(ticket: Ticket, answer: tuple[ObjectId, ...], objects: Objects) -> None:
    """Hold Objects for as long as a ticket lives."""
    if answer:
        for oid in answer:
            objects.hold(oid)
        weakref.finalize(ticket, _release, objects, answer).atexit = False


def _release(objects: Objects, answer: tuple[ObjectId, ...]) -> None:
    for oid in answer:
        objects.release(oid)


def joins(info: RunInfo, function: str, digest: str, also: tuple[str, ...] = ()) -> str:
    """Return why a start does not fit the Run that has its id, or nothing if it does (N2).

    `also` are digests of the same arguments, written in another way.
    """
    if info.deleted:
        return f"The id {info.id!r} belongs to a Run that was deleted; `weftrun delete {info.id} --forget` frees it."
    if info.function != function:
        return f"The id {info.id!r} belongs to a Run of {info.function}, not of {function}: give another id."
    if info.digest and digest and info.digest not in (digest, *also):
        return f"The id {info.id!r} belongs to a Run of {function} with other arguments: give those, or another id."
    return ""
