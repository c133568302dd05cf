"""Open Runs: each with its machine, its Objects and the tickets that wait for it."""

from __future__ import annotations

import weakref
from typing import Protocol

from msgspec import Struct

from weftrun.machines.run import RunMachine
from weftrun.model.commands import End
from weftrun.model.events import AttemptsEnded, BodyMade, BodyReturned, ItemsEnded, RunEvent
from weftrun.model.ids import ObjectId, RunId, RunUid
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.values import Object, Payload, Tree
from weftrun.ports.journal import RunInfo
from weftrun.ports.loop import Handle
from weftrun.ports.objects import Objects
from weftrun.ports.sandboxes import Profile
from weftrun.runtime.durable import objects_of_tree
from weftrun.runtime.tickets import Ticket


class Start(Struct, frozen=True):
    """A start as it was asked for. An Object in `args` has one holder, which whoever has this lets go of."""

    ticket: Ticket
    function: FunctionSpec
    bundle: Bundle
    args: Payload
    digest: str


class OpenRun:
    """A Run that this engine owns.

    Attributes:
        number: how the machines and Invocations call it.
        epoch: under which its rows are appended.
        durable: whether it keeps records, and a trace.
        held: Objects that the Run holds: each one once.
        emitted: sinks that rows on their way to the Journal emit to, with the seq of each row.
        noted, left_out: how many Batches of it, and Steps without a record, the trace has.
        start: what was asked for, until its record is durable.
        tickets: whom to tell of the end; held weakly, since a Run goes on when nobody waits.
    """

    __slots__ = (
        "_waits",
        "bundle",
        "digest",
        "durable",
        "emitted",
        "epoch",
        "function",
        "held",
        "id",
        "left_out",
        "machine",
        "noted",
        "number",
        "start",
        "tickets",
        "timer",
        "uid",
    )

    def __init__(
        self, number: int, id: RunId, uid: RunUid, machine: RunMachine, function: str, bundle: Bundle, digest: str,
        *, durable: bool = True,
    ) -> None:  # fmt: skip
        self.number = number
        self.id = id
        self.uid = uid
        self.machine = machine
        self.function = function
        self.bundle = bundle
        self.digest = digest
        self.epoch = 1
        self.durable = durable
        self.held: set[ObjectId] = set()
        self.emitted: list[tuple[int, str]] = []
        self.tickets: weakref.WeakSet[Ticket] = weakref.WeakSet()
        self.timer: Handle | None = None
        self.start: Start | None = None
        self.noted = 0
        self.left_out = 0
        self._waits = 0

    @property
    def taken_over(self) -> bool:
        """Whether another engine began it."""
        return self.epoch > 1

    def new_waits(self) -> int:
        """Return how many Attempts have begun to wait for the disk since the last call."""
        waits = self.machine.state.waits
        new, self._waits = waits - self._waits, waits
        return new

    def emitted_until(self, seq: int) -> frozenset[str]:
        """Return the sinks that rows up to `seq` emit to, each row once."""
        sinks = frozenset(sink for at, sink in self.emitted if at <= seq)
        self.emitted = [(at, sink) for at, sink in self.emitted if at > seq]
        return sinks

    def take(self, event: RunEvent) -> None:
        """Hold the Objects that an event brings: the message that told of them had one holder for each."""
        objects = objects_of_event(event)
        if objects:
            self.held.update(objects)

    def give_answer(self, end: End, objects: Objects) -> None:
        """Tell all tickets; each holds the answer's Objects as long as it lives. Lets go of everything else."""
        answer: dict[ObjectId, None] = {}
        if end.answer is not None:
            objects_of_tree(end.answer, answer)
        for ticket in list(self.tickets):
            hold_answer(ticket, tuple(answer), objects)
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
    """

    def __init__(self, driver: Driver, owner: Owner) -> None:
        self.by_id: dict[RunId, OpenRun] = {}
        self.unkept: dict[RunId, OpenRun] = {}
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
        self._driver.opened(run)
        if run.durable:
            self._owner.counted(len(self.by_id))

    def remove(self, run: OpenRun) -> None:
        """It is open here no more."""
        self.unkept.pop(run.id, None)
        if self.by_id.get(run.id) is run:
            del self.by_id[run.id]
            self._owner.counted(len(self.by_id))


def objects_of_event(event: RunEvent) -> list[ObjectId]:
    """Return the Objects that a guest told of with an event."""
    match event:
        case AttemptsEnded():
            return [e.value.oid for e in event.ended if type(e.value) is Object]
        case ItemsEnded():
            return [data.oid for _, _, data in event.values if type(data) is Object]
        case BodyMade():
            calls = [c.args.data.oid for c in event.calls if type(c.args.data) is Object]
            return calls + [c.items.data.oid for c in event.chunks if type(c.items.data) is Object]
        case BodyReturned() if event.answer is not None and type(event.answer.data) is Object:
            return [event.answer.data.oid]
        case _:
            return []


def unloadable(event: RunEvent) -> Failure | None:
    """Return the failure of an event that tells that no Sandbox can be made for a Run's code here.

    One that has an origin is on record, and passed on by a body that has a Sandbox.
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
    return next((f for f in failures if f is not None and f.reason is Reason.UNLOADABLE and not f.origin), None)


def hold_answer(ticket: Ticket, answer: tuple[ObjectId, ...], objects: Objects) -> None:
    """Hold Objects for as long as a ticket lives."""
    if answer:
        for oid in answer:
            objects.hold(oid)
        weakref.finalize(ticket, _let_go, objects, answer).atexit = False


def _let_go(objects: Objects, answer: tuple[ObjectId, ...]) -> None:
    for oid in answer:
        objects.release(oid)


class Profiles:
    """Numbers what Sandboxes are made for."""

    def __init__(self) -> None:
        self._numbers: dict[Profile, int] = {}
        self._profiles: list[Profile] = []
        self._last: tuple[Bundle, FunctionSpec, int] | None = None

    def number(self, bundle: Bundle, function: FunctionSpec) -> int:
        """Return the number of the profile that a Function of a bundle needs."""
        last = self._last
        if last is not None and last[0] is bundle and last[1] is function:
            return last[2]
        profile = Profile(bundle, function.network, function.privileges)
        number = self._numbers.get(profile)
        if number is None:
            number = self._numbers[profile] = len(self._profiles)
            self._profiles.append(profile)
        self._last = (bundle, function, number)
        return number

    def profile(self, number: int) -> Profile:
        """Return a profile by its number."""
        return self._profiles[number]


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


def answer_objects(answer: Tree | None) -> tuple[ObjectId, ...]:
    """Return the Objects of an answer."""
    found: dict[ObjectId, None] = {}
    if answer is not None:
        objects_of_tree(answer, found)
    return tuple(found)
