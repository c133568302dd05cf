"""One host: a part of the Run, a Lease, and Sandboxes in which bodies are entered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from weftrun.machines.share import PartMachine
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.share import Abandon, CallsMade, Enter, PartCommand, PartEvent, Show, StepEnded
from weftrun.testing.sim.ledger import Entry
from weftrun.testing.sim.shared.scripts import Awaits, Doing, doing, failure, gives, pack, read, read_tree
from weftrun.testing.sim.values import Lineage

if TYPE_CHECKING:
    from weftrun.testing.sim.shared.world import SharedWorld

TTL_S = 0.5
"""How long a Lease holds, in seconds."""


class Host:
    """A host with its part.

    Attributes:
        wakes_at: until then it is frozen.
        beat_at: when it began its last renewal: its Lease holds for a ttl from then.
    """

    def __init__(self, world: SharedWorld, worker: WorkerId, limits: Limits) -> None:
        """Make a host that knows nothing."""
        self.world = world
        self.worker = worker
        self.part = PartMachine(worker, world.uid, limits)
        self.alive = True
        self.wakes_at = 0.0
        self.beat_at = world.now
        self._beats: dict[WorkerId, tuple[float, float]] = {}
        self._running: dict[tuple[StepId, int], _Attempt] = {}

    @property
    def is_frozen(self) -> bool:
        """Whether it hears nothing now."""
        return self.wakes_at > self.world.now

    def die(self) -> None:
        """End the host with its Sandboxes and all that it held in memory."""
        self.alive = False
        self._running.clear()

    # ------------------------------------------------------------------ its Lease

    def beat(self) -> None:
        """Renew the Lease, three times in a ttl, while awake. Whose session was buried has lost what it held (O1)."""
        if not self.alive:
            return
        if self.worker in self.world.buried and not self.is_frozen:
            self.world.count("lost leases")
            self.world.lose(self)
            return
        if self.is_frozen:
            # Frozen threads do not wake in the order of their timers: something else may be done first.
            self.world.at(self.wakes_at - self.world.now + self.world.fate.between(0.0, TTL_S / 3), self.beat)
            return
        self.beat_at = self.world.now
        self.world.at(TTL_S / 3, self.beat)

    def may_enter(self) -> bool:
        """Whether a Sandbox of this host may enter a body now (O3)."""
        return self.world.now < self.beat_at + TTL_S

    def look(self) -> None:
        """See which hosts' beats have moved."""
        for other in self.world.hosts.values():
            beat, since = self._beats.get(other.worker, (other.beat_at, self.world.now))
            moved = beat != other.beat_at
            self._beats[other.worker] = (other.beat_at, self.world.now if moved else since)

    def buries(self, other: Host) -> bool:
        """Bury a host whose beat this one has seen to stand still for a ttl; say whether it is buried (O1)."""
        beat, since = self._beats.get(other.worker, (other.beat_at, self.world.now))
        if self.world.now - since >= TTL_S and beat == other.beat_at and other is not self:
            self.world.buried.add(other.worker)
        return other.worker in self.world.buried

    def sees(self, other: Host) -> bool:
        """Whether this host knows of the other one."""
        return other.worker in self._beats

    # ------------------------------------------------------------------ its part

    def give(self, make: Callable[[], PartEvent]) -> None:
        """Hand an event to the part, now or when the host wakes."""
        world = self.world
        if not self.alive:
            return
        if self.is_frozen:
            world.at(self.wakes_at - world.now, lambda: self.give(make))
            return
        for command in self.part.handle(make()):
            world.do(self, command)

    def act(self, command: PartCommand) -> None:
        """Carry out what concerns Sandboxes. They hear of it a little later, whatever the host does meanwhile."""
        world = self.world
        delay_s = world.pace.between(0.0, world.weather.start_s)
        match command:
            case Enter():
                reads = read_tree(command.args, world.blobs)
                world.use(self, reads)
                attempt = _Attempt(self, command.step, command.attempt, command.function, reads)
                self._running[command.step, command.attempt] = attempt
                world.at(delay_s, attempt.enter)
            case Show():
                shown = self._running.get((command.step, command.attempt))
                data = command.failure.error if command.failure is not None else None
                if command.value is not None:
                    seen = read_tree(command.value, world.blobs)
                else:
                    assert data is not None
                    seen = read(data, world.blobs)
                world.use(self, seen)
                if shown is not None:
                    world.at(delay_s, lambda: shown.go_on((command.call, seen)))
            case Abandon():
                for key in command.attempts:
                    self._running.pop(key, None)
            case _:
                raise TypeError(f"nobody carries out {command}")

    def runs(self, attempt: _Attempt) -> bool:
        """Whether an Attempt is still wanted."""
        return self.alive and self._running.get((attempt.step, attempt.number)) is attempt

    def over(self, attempt: _Attempt, event: Callable[[], PartEvent]) -> None:
        """Tell how an Attempt ended, and nothing more of it."""
        del self._running[attempt.step, attempt.number]
        self.give(event)


class _Attempt:
    """One Attempt in a Sandbox."""

    def __init__(self, host: Host, step: StepId, number: int, function: FunctionSpec, reads: Lineage) -> None:
        self.host = host
        self.step = step
        self.number = number
        self._function = function
        self._reads = reads
        self._entered_at = 0.0
        self._body: Doing | None = None

    def enter(self) -> None:
        """Enter the body, unless the Lease is over: then wait until it holds again (O3)."""
        host, world = self.host, self.host.world
        if not host.runs(self):
            return
        if not host.may_enter():
            world.count("held back")
            world.at(TTL_S / 3, self.enter)
            return
        self._entered_at = world.now
        row = len(world.journal.rows)
        owner = world.owner.host.worker if world.owner is not None else 0
        about = self.step, self.number, self._function, self._reads, ""
        world.entries.append(Entry(world.now, world.uid, *about, row, host.worker, owner))
        if world.chaos and world.pace.happens(world.weather.sandbox):
            world.count("sandboxes")
            world.at(world.pace.between(0.0, world.weather.body_s), self._lost)
        elif self._function.kind is Kind.WATCHING:
            self._body = doing(world.scripts[self._function.label], self.step, self._reads)
            self.go_on(None)
        else:
            world.at(world.pace.between(0.0, world.weather.body_s), self._leave)

    def _lost(self) -> None:
        if self.host.runs(self):
            self._end(None, Failure(Reason.LOST, "SandboxLost", "the Sandbox ended"))

    def _leave(self) -> None:
        world = self.host.world
        if not self.host.runs(self):
            return
        nonce = world.nonces.bits() >> 8
        seen, fails = gives(self._function, self.step, self.number, self._reads, nonce)
        if fails:
            self._end(None, failure(seen))
        else:
            self._end(seen, None)

    def _end(self, seen: Lineage | None, failed: Failure | None) -> None:
        host, world = self.host, self.host.world
        ran = Ran(1, self._entered_at, world.now)
        value = None
        if seen is not None:
            data, value = pack(seen, large=self._function.label.endswith("large"))
            world.blobs[getattr(value, "sha256", "")] = data
        host.over(self, lambda: StepEnded(world.now, self.step, self.number, value, failed, ran))

    def go_on(self, sent: tuple[int, Lineage] | None) -> None:
        """Let the body run until it awaits or ends."""
        host = self.host
        if not host.runs(self) or self._body is None:
            return
        functions: list[FunctionSpec] = []
        calls: list[Call] = []
        while True:
            try:
                told = self._body.send(sent)
            except StopIteration as stopped:
                end: Lineage = stopped.value
                self._made(functions, calls, ())
                self._end(end, None)
                return
            sent = None
            if isinstance(told, Awaits):
                self._made(functions, calls, told.numbers)
                return
            functions.append(told[0])
            calls.append(Call(self._base + len(functions) - 1, told[1].n, told[1].args))

    _base = 0

    def _made(self, functions: list[FunctionSpec], calls: list[Call], awaits: tuple[int, ...]) -> None:
        world = self.host.world
        self._base += len(functions)
        told = tuple(functions), tuple(calls)
        self.host.give(lambda: CallsMade(world.now, self.step, self.number, *told, awaits))
