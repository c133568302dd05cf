"""One engine process of a simulated world: it is opened on what the disk has, stands still, crashes, or is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.transactions import SqliteTransactions
from weftrun.machines.placement import Planner
from weftrun.model.commands import Ahead, StartRules
from weftrun.model.errors import WeftrunError
from weftrun.model.ids import SessionUid
from weftrun.model.policy import Bundle
from weftrun.model.records import Started
from weftrun.ports.code import UnknownCode
from weftrun.ports.transactions import Transactions
from weftrun.ports.worker import Worker
from weftrun.runtime.engine import EngineCore
from weftrun.runtime.tickets import Latch
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.runtime.worker_group import WorkerGroup
from weftrun.sdk.function import Function
from weftrun.testing.sim.chance import Chance, SeededEntropy
from weftrun.testing.sim.faults import Crash, Faults
from weftrun.testing.sim.hosts import SimWorkers
from weftrun.testing.sim.layers import FaultyBlobs, FaultyJournal, FaultySandboxes, FaultyTrace
from weftrun.testing.sim.ledger import Ledger
from weftrun.testing.sim.loop import SimLoop
from weftrun.testing.sim.memory import MemoryBlobs, MemoryLiveness, MemoryObjects, MemoryTrace
from weftrun.testing.sim.outside import Outside
from weftrun.testing.sim.register import Register, View
from weftrun.testing.sim.sandboxes import ScriptedSandboxes
from weftrun.testing.sim.scheduled import STEADY
from weftrun.testing.sim.settings import Settings
from weftrun.testing.sim.side_by_side import SideBySide
from weftrun.testing.sim.sinks import FaultySink, SimSink
from weftrun.testing.sim.transacting import FaultyTransactions

_AGAIN_S = 0.05


def _starts(settings: Settings) -> StartRules:
    ahead = Ahead.ARMED if settings.workers.arms else Ahead.KNOWN
    return StartRules(ahead if settings.workers.count else Ahead.NOTHING, on_outputs=settings.on_outputs)


class _Code(UnknownCode):
    """The code of one engine, which is known by a digest only; Runs are begun with code that fits."""

    def __init__(self, digest: str, *, serves_all: bool) -> None:
        self._digest = digest
        self.serves_all = serves_all

    def serves(self, started: Started) -> bool:  # noqa: ARG002
        """Go on with those that were begun with this code."""
        return self.serves_all or self._digest == "fit"

    def digest(self, bundle: Bundle, names: Iterable[str]) -> str:  # noqa: ARG002
        """Return it, whatever Run it is asked for."""
        return self._digest


@dataclass(frozen=True)
class Ground:
    """What all processes of a world stand on: it outlives them.

    Attributes:
        loop: of nobody: what happens whatever the processes do.
        living: sessions of processes that live.
        nonces: draws what tells two entries apart.
        chance: draws what happens to processes.
        sinks: where what is emitted goes, by name.
        unfit: Functions of code that does not fit, by name.
    """

    seed: int
    path: Path
    settings: Settings
    functions: Mapping[str, Function[..., Any]]
    loop: SimLoop
    ledger: Ledger
    register: Register
    faults: Faults
    entropy: SeededEntropy
    blobs: MemoryBlobs
    trace: MemoryTrace
    living: set[SessionUid]
    nonces: Chance
    chance: Chance
    sinks: Mapping[str, SimSink] = field(default_factory=dict)
    unfit: Mapping[str, Function[..., Any]] = field(default_factory=dict)


class Process:
    """An engine with its ports.

    Attributes:
        number: counted from 1, through all slots and reopenings.
        slot: its place among the engines of the world.
        is_unfit: whether its code does not fit.
        is_open: whether clients may come.
        ended: whether nothing of it is left.
        inner: its connection to the Journal, under the faults; `console` is that of whoever operates there.
        transactions: those of its bodies.
    """

    def __init__(
        self,
        ground: Ground,
        number: int,
        slot: int,
        *,
        is_unfit: bool = False,
        opened: Callable[[], None],
        died: Callable[[Process], None],
    ) -> None:
        """Open an engine; `opened` is called when it is ready, `died` when it has ended, whichever way."""
        settings, faults = ground.settings, ground.faults
        self.number = number
        self.slot = slot
        self.is_unfit = is_unfit
        self.is_open = False
        self.ended = False
        self._ground = ground
        self._died = died
        self._pauses = 0
        self.loop = ground.loop.beside(str(number), self._crashed, lanes=settings.lanes, busy=settings.busy)
        self.guests = ground.loop.beside(f"{number} guests", self._crashed, computes=True)
        self.inner = SqliteJournal(ground.path, entropy=ground.entropy, pause=lambda _: None, allow_tmpfs=True)
        self.objects = MemoryObjects(ground.blobs)
        self.sandboxes = ScriptedSandboxes(self.loop, self._outside("guests", self.guests), self.objects)
        self._liveness = MemoryLiveness(ground.living, f"host-{slot % settings.hosts}")
        sinks = {} if slot in settings.sinkless else ground.sinks
        view = View(ground.register, number, adopts=settings.recover == "all")
        self.console = FaultyJournal(self.inner, Faults(), self, view)
        self.transactions = FaultyTransactions(self._transactions(), faults, self, view)
        self.workers: SimWorkers | None = None
        self._own: WorkerDriver | None = None
        worker = self._worker()
        self.engine = EngineCore(
            loop=self.loop,
            journal=FaultyJournal(self.inner, faults, self, view),
            transactions=self.transactions,
            blobs=FaultyBlobs(ground.blobs, faults, self),
            trace=FaultyTrace(ground.trace, faults, self),
            liveness=self._liveness,
            objects=self.objects,
            worker=worker,
            entropy=ground.entropy,
            limits=settings.limits,
            code=_Code("unfit" if is_unfit else "fit", serves_all=settings.unfit_serve),
            sinks={name: FaultySink(sink, faults, self, view) for name, sink in sinks.items()},
            starts=_starts(settings),
            calendar=STEADY if settings.clock_skews else None,
            wall=self._wall(),
            own=self._own,
        )
        ready = Latch()
        self.engine.open(settings.recover, ready)
        self.loop.call_from_thread(lambda: ready.on_open(lambda: self._opened(opened)))

    def _wall(self) -> Callable[[], float] | None:
        """Return what the clock of its host shows."""
        skews = self._ground.settings.clock_skews
        if not skews:
            return None
        skew_s = Chance(self._ground.seed, f"wall {self.number}").one_of(skews)
        return lambda: self.loop.now() + skew_s

    def _worker(self) -> Worker:
        """Return what executes for this engine: the Worker in its process, or a group of several."""
        settings = self._ground.settings
        sandboxes = FaultySandboxes(self.sandboxes, self._ground.faults, self)
        worker = WorkerDriver(
            self.loop, sandboxes, self.objects, settings.limits, settings.sandboxes_max, rules=settings.warm
        )
        if not settings.workers.count:
            self._own = worker
            return worker
        limits, planner = settings.limits, Planner(settings.workers.placement)
        group = WorkerGroup(self.loop, worker, planner, limits.lease_ttl_s, limits.sandbox_start_s)
        chance = Chance(self._ground.seed, f"workers {self.number}")
        self.workers = SimWorkers(
            settings.workers,
            settings.limits,
            self.loop,
            self.objects,
            self._outside,
            group.joined,
            group.met,
            chance,
        )
        return group

    def _outside(self, name: str, loop: SimLoop | None = None) -> Outside:
        """Return the world as some Sandboxes of this engine see it, whose time is that of `loop`."""
        ground = self._ground
        return Outside(
            self.number,
            loop or ground.loop.beside(f"{self.number} {name} guests", self._crashed, computes=True),
            ground.unfit if self.is_unfit else ground.functions,
            ground.ledger,
            ground.faults,
            Chance(ground.seed, f"{name} {self.number}"),
            ground.nonces,
            ground.settings.pace,
            ground.settings.limits,
            self.is_unfit,
        )

    def _transactions(self) -> Transactions:
        alone = SqliteTransactions(self.inner)
        loses = self._ground.settings.transactions_lost
        if loses is None:
            return alone
        return SideBySide(alone, Chance(self._ground.seed, f"server {self.number}"), loses)

    @property
    def sandboxes_alive(self) -> int:
        """How many Sandboxes live, those of its Workers among them."""
        return self.sandboxes.alive + (self.workers.alive if self.workers is not None else 0)

    @property
    def is_broken(self) -> bool:
        """Whether the engine says that it can't be used any more."""
        try:
            self.engine.check()
        except WeftrunError:
            return True
        return False

    def _opened(self, opened: Callable[[], None]) -> None:
        self.is_open = True
        opened()

    # ------------------------------------------------------------------ what happens to it

    def stand_still(self, seconds: float) -> None:
        """Stop in the middle of a turn while everybody else goes on; perhaps with its whole host."""
        ground = self._ground
        self._pauses += 1
        pause = self._pauses
        with_guests = ground.chance.happens(ground.settings.sleeps)
        if not with_guests:
            ttl_s = ground.settings.limits.lease_ttl_s
            # The last heartbeat was told at most a third of the Lease ago; a zygote that hears no other ends what runs.
            silent_s = ttl_s * ground.chance.between(2 / 3, 1)
            self.guests.call_at(self.guests.now() + silent_s, lambda: self._heard_no_heartbeat(pause))
        ground.register.disturbed()
        try:
            self.loop.stand_still(seconds, *([self.guests] if with_guests else []))
        finally:
            self._pauses += 1
            ground.register.disturbed()

    def _heard_no_heartbeat(self, pause: int) -> None:
        if self._pauses == pause:
            self.sandboxes.end_all("its engine gave no sign of life")

    def _crashed(self, _: Crash) -> None:
        self.kill()

    def kill(self) -> None:
        """The process is gone: memory, descriptors, connections; the disk and what was committed stay. Idempotent."""
        if not self.ended:
            lingers = self._ground.chance.happens(self._ground.settings.lingers)
            self.sandboxes.linger(lingers)
            if self.workers is not None:
                self.workers.linger(lingers)
            self._ground.trace.crash()
            self._end()

    def close(self, drain_s: float) -> None:
        """Close the engine in good order, as its assembly does, when what runs has ended or after so many seconds."""
        if self.ended or not self.is_open:
            return
        self.is_open = False
        drained = Latch()
        self.engine.drain(drained)
        self.loop.call_at(self.loop.now() + drain_s, drained.open)
        self.loop.call_from_thread(lambda: drained.on_open(self._close))

    def _close(self) -> None:
        closed = Latch()
        self.engine.end(closed)
        self.loop.call_from_thread(lambda: closed.on_open(self._finish))

    def _finish(self) -> None:
        """Let the lanes work off what they have, and release everything."""
        self.end_workers()
        self.sandboxes.close()
        if self.loop.lanes_busy:
            self.loop.call_at(self.loop.now() + _AGAIN_S, self._finish)
        else:
            self._end()

    def end_workers(self) -> None:
        """End its Worker processes. Idempotent."""
        if self.workers is not None:
            self.workers.close()

    def _end(self) -> None:
        self.ended = True
        self.is_open = False
        self.release()
        self._ground.register.dead.add(self.number)
        self._ground.register.disturbed()
        self._died(self)

    def release(self) -> None:
        """Release everything that is not on the disk. Idempotent."""
        self.end_workers()
        self.sandboxes.close()
        self._liveness.close()
        self._ground.faults.unlock(self)
        self.loop.end()
        self.guests.end()
        self.inner.close()
        self.objects.close()
