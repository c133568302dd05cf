"""Workers of a simulated engine in processes of their own: they start, freeze, die and are started again.

What engine and Worker say to one another takes time and keeps its order; what was said before a death still arrives.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from weftrun.model.commands import WorkCommand
from weftrun.model.hosts import ENGINE, SANDBOXES_EACH, KnownBatches
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.messages import Answer, Asking
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle
from weftrun.model.values import Data
from weftrun.model.visiting import objects_in
from weftrun.model.work import AttemptAt, BatchHolds, BatchSent, Came, Running, Said, WorkEvent
from weftrun.ports.objects import Objects
from weftrun.ports.peers import Handed
from weftrun.ports.worker import WorkerEvents
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.loop import SimLoop
from weftrun.testing.sim.outside import Outside
from weftrun.testing.sim.sandboxes import ScriptedSandboxes
from weftrun.testing.sim.settings import WorkerSettings

_AGAIN_S = (0.0, 0.5)
_LIVES_S = (0.05, 1.0, 5.0)


class SimWorkers:
    """The Worker processes of one engine."""

    def __init__(
        self,
        settings: WorkerSettings,
        limits: Limits,
        loop: SimLoop,
        objects: Objects,
        outside: Callable[[str], Outside],
        joined: Callable[[WorkerId, SimLink, int], None],
        met: Callable[[WorkerId, WorkerId], None],
        chance: Chance,
    ) -> None:
        """Start them; `outside` makes the world that the Sandboxes of a Worker live in, by its name.

        `met` is told of each two that can hand one another values.
        """
        self._settings = settings
        self._limits = limits
        self._loop = loop
        self._objects = objects
        self._outside = outside
        self._joined = joined
        self._met = met
        self._between = Between(settings, chance)
        self._chance = chance
        self._last = ENGINE
        self._there: dict[WorkerId, SimWorker] = {}
        self._closed = False
        self._cut_off: list[SimWorker] = []
        for _ in range(settings.count):
            loop.call_soon(self._start)

    @property
    def alive(self) -> int:
        """How many Sandboxes live in all of them."""
        return sum(worker.sandboxes.alive for worker in self._there.values())

    def _start(self) -> None:
        if self._closed:
            return
        self._last = WorkerId(self._last + 1)
        outside = self._outside(f"worker {self._last}")
        worker = SimWorker(
            self._last, self._loop, outside, self._objects, self._limits, self._settings, self._gone, self._between
        )
        self._there[self._last] = worker
        self._joined(self._last, worker.link, self._settings.sandboxes)
        for other in self._there.keys() - {self._last} if self._settings.meets else ():
            self._met(self._last, other)
        chance, ttl_s = self._chance, self._limits.lease_ttl_s
        if chance.happens(self._settings.dies):
            at = self._loop.now() + chance.between(0.0, chance.one_of(_LIVES_S))
            worker.loop.call_at(at, lambda: worker.die("its process ended"))
        elif chance.happens(self._settings.freezes):
            at = self._loop.now() + chance.between(0.0, chance.one_of(_LIVES_S))
            worker.loop.call_at(at, lambda: worker.freeze(ttl_s * chance.one_of((0.1, 0.9, 2.0))))
        elif chance.happens(self._settings.cuts):
            at = self._loop.now() + chance.between(0.0, chance.one_of(_LIVES_S))
            worker.loop.call_at(at, lambda: self._cut(worker, ttl_s * chance.one_of((0.0, 0.9, 2.0))))

    def _cut(self, worker: SimWorker, frozen_s: float) -> None:
        """Nothing arrives any more between an engine and a Worker, which lives on until it misses its engine."""
        if worker.id in self._there:
            self._cut_off.append(worker)
            worker.link.cut()
            worker.freeze(frozen_s)

    def _gone(self, worker: SimWorker) -> None:
        """Start another one in its place, once."""
        if self._there.pop(worker.id, None) is not None and not self._closed:
            self._loop.call_at(self._loop.now() + self._chance.between(*_AGAIN_S), self._start)

    def linger(self, until_told: bool) -> None:
        """Let what runs go on to its end though nobody hears of it: the engine died."""
        for worker in (*self._there.values(), *self._cut_off):
            worker.sandboxes.linger(until_told)

    def close(self) -> None:
        """End all. Idempotent."""
        self._closed = True
        there, self._there = self._there, {}
        for worker in (*there.values(), *self._cut_off):
            worker.end()


class Between:
    """The network between the Workers of one engine: late, lossy, and deaf in one direction."""

    def __init__(self, settings: WorkerSettings, chance: Chance) -> None:
        self._settings = settings
        self._chance = chance
        self._deaf: dict[tuple[WorkerId, WorkerId], bool] = {}
        self.workers: dict[WorkerId, SimWorker] = {}

    def reach(self, source: WorkerId, to: WorkerId) -> SimWorker | None:
        """Return the Worker at which a message will arrive; None where it is lost."""
        settings, chance = self._settings, self._chance
        way = source, to
        if way not in self._deaf:
            self._deaf[way] = chance.happens(settings.deaf)
        is_lost = chance.happens(settings.loses) or self._deaf[way]
        return None if is_lost else self.workers.get(to)

    def carry(self, source: WorkerId, to: SimWorker, arrive: Callable[[], None]) -> None:
        """Let a Worker take something a little later, even if its sender is gone by then."""
        to.loop.after(self._settings.late_s, f"from worker {source} to worker {to.id}", arrive)

    def leaves_in_s(self) -> float:
        """Return how long what a Worker has handed over still needs, as it reckons: it may be wrong."""
        least_s, most_s = self._settings.leaves_s
        return self._chance.between(least_s, most_s) if most_s else 0.0


class SimPeers:
    """What one Worker says to others (port Peers)."""

    def __init__(self, worker: SimWorker, between: Between) -> None:
        self._worker = worker
        self._between = between
        self._handed: Handed
        between.workers[worker.id] = worker

    def listen(self, handed: Handed) -> None:
        """Say whom to tell."""
        self._handed = handed

    def take(self, source: WorkerId, run: int, step: int, value: Data) -> None:
        """Something has arrived."""
        self._handed(source, run, step, value)

    def give(self, worker: WorkerId, run: int, step: int, value: Data) -> None:
        """Hand a value to a Worker, which has its own hold on an Object from now on."""
        there = self._between.reach(self._worker.id, worker)
        if there is not None:
            for obj in objects_in(value):
                there.objects.hold(obj.oid)
            source = self._worker.id
            self._between.carry(source, there, lambda: there.peers.take(source, run, step, value))

    def leaves_in_s(self) -> float:
        """Return what this Worker reckons of its link."""
        return self._between.leaves_in_s()


class SimWorker:
    """One Worker process."""

    def __init__(
        self,
        id: WorkerId,
        engine: SimLoop,
        outside: Outside,
        objects: Objects,
        limits: Limits,
        settings: WorkerSettings,
        gone: Callable[[SimWorker], None],
        between: Between,
    ) -> None:
        self.id = id
        self.loop = engine.beside(f"{outside.engine} worker {id}", lambda _: self.die("its process ended"))
        self.objects = CountedObjects(objects)
        self.sandboxes = ScriptedSandboxes(self.loop, outside, self.objects)
        self.peers = SimPeers(self, between)
        self._ttl_s = limits.lease_ttl_s
        self._gone = gone
        self._over = False
        self._engine = engine
        driver = WorkerDriver(
            self.loop, self.sandboxes, self.objects, limits, settings.sandboxes, first_sandbox=id * SANDBOXES_EACH,
            peers=self.peers, outlived=True,
        )  # fmt: skip
        self.link = SimLink(self, engine, driver, outside, self.objects, settings)
        self.loop.call_soon(self._watch)

    def _watch(self) -> None:
        """End with an engine that gives no sign of life."""
        if self.loop.now() - self.link.pinged_at > self._ttl_s:
            self.die("its engine gave no sign of life")
        else:
            self.loop.call_at(self.loop.now() + self._ttl_s / 3, self._watch)

    def freeze(self, seconds: float) -> None:
        """Stand still in the middle of a turn, together with its Sandboxes."""
        if not self._over and seconds:
            self.loop.stand_still(seconds)

    def die(self, why: str) -> None:
        """The process is gone; its engine hears of it after what was said before."""
        if not self._over:
            self.end()
            self.link.tell(lambda events: events.gone(why, KnownBatches.ALL))
            self._gone(self)

    def declared_dead(self) -> None:
        """The engine ends it, or can't: then it lives on, and the engine goes on without it all the same."""
        if self.link.is_cut:
            self.link.lost("it gave no sign of life")
            self._gone(self)
        else:
            self.die("it gave no sign of life")

    def end(self) -> None:
        """Release everything. Idempotent."""
        if not self._over:
            self._over = True
            self.sandboxes.close()
            self.loop.end()
            self.objects.close()


class SimLink:
    """What lies between an engine and one of its Workers (port DistantWorker).

    Attributes:
        heard_at: when the Worker last gave a sign of life; `pinged_at` when the engine last did, as the Worker knows.
        about: nothing: nobody looks on here.
        is_apart: whether it may be cut off: then what it has said last may never come.
        taken: number of the last piece of work that has arrived.
    """

    def __init__(
        self, worker: SimWorker, engine: SimLoop, driver: WorkerDriver, outside: Outside, objects: CountedObjects,
        settings: WorkerSettings,
    ) -> None:  # fmt: skip
        self._worker = worker
        self._engine = engine
        self._driver = driver
        self._outside = outside
        self._objects = objects
        (least_s, most_s), (least_more_s, most_more_s) = outside.pace.hop_s, settings.reports_s
        self._reports_s = least_s + least_more_s, most_s + most_more_s
        self._known: set[ObjectId] = set()
        self._sent = self._heard = self.taken = 0
        self._quiet = True
        self._events: WorkerEvents | None = None
        self.heard_at: float | None = None
        self.about = None
        self.is_cut = False
        self.is_apart = settings.cuts > 0.0
        self.pinged_at = engine.now()
        driver.listen(_Reported(self, driver))

    def _give(self, call: Callable[[WorkerDriver], None]) -> None:
        """Let the Worker take something a little later."""
        strand = f"to worker {self._worker.id}"
        if not self.is_cut:
            self._worker.loop.after(self._outside.pace.hop_s, strand, lambda: call(self._driver))

    def tell(self, call: Callable[[WorkerEvents], None]) -> None:
        """Let the engine hear something a little later."""

        def arrive() -> None:
            self.heard_at = self._engine.now()
            if self._events is not None:
                call(self._events)

        if not self.is_cut:
            self._engine.after(self._reports_s, f"from worker {self._worker.id}", arrive)

    def must_ask(self, holds: BatchHolds) -> bool:
        """Say whether a Batch waits until the engine knows of it: what was said last may be lost with the Worker."""
        return self.is_apart and holds.must_be_known

    def let_go(self, go: Callable[[], None]) -> None:
        """Let a Batch go a little later, that has waited for the engine to know of it."""
        self._give(lambda _: go())

    def cut(self) -> None:
        """Let nothing more arrive, either way."""
        self.is_cut = True

    def drop(self, event: WorkEvent) -> None:
        """Nobody will hear of this: nobody holds its Objects."""
        for obj in objects_in(event):
            self._objects.drop(obj.oid)

    def lost(self, why: str) -> None:
        """The engine goes on without the Worker."""
        if self._events is not None:
            self._events.gone(why, KnownBatches.ASKED)

    def end(self) -> None:
        """The engine has declared the Worker dead."""
        self._engine.call_soon(self._worker.declared_dead)

    def rested(self, quiet: bool, heard: int) -> None:
        """Hear that the Worker has handed on what there was to be done."""
        self._quiet, self._heard = quiet, heard

    # ------------------------------------------------------------------ the port

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do, as far as it has told, and has heard of all that was sent."""
        return self._quiet and self._heard == self._sent

    def listen(self, events: WorkerEvents) -> None:
        """Say whom to tell."""
        self._events = events

    def ping(self) -> None:
        """Say that the engine lives, and hear that the Worker does."""

        def pong() -> None:
            self.pinged_at = self._worker.loop.now()
            self.tell(lambda _: None)

        self._give(lambda _: pong())

    def open_run(self, run: int, id: RunId, uid: RunUid, bundle: Bundle, trace: str = "") -> None:
        """A Run may send work from now on."""
        self._give(lambda driver: driver.open_run(run, id, uid, bundle, trace))

    def close_run(self, run: int) -> None:
        """A Run is over."""
        self._give(lambda driver: driver.close_run(run))

    def leave_run(self, run: int) -> None:
        """A Run is given up before its end."""
        self._give(lambda driver: driver.leave_run(run))

    def work(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run's machine; the Worker has its own hold on the Objects in it."""
        for obj in objects_in(command):
            if obj.oid not in self._known:
                self._known.add(obj.oid)
                self._objects.hold(obj.oid)
        self._sent += 1
        number = self._sent

        def work(driver: WorkerDriver) -> None:
            self.taken = number
            driver.work(run, command)

        self._give(work)

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget Objects."""
        for oid in self._known.intersection(objects):
            self._known.discard(oid)
            self._give(lambda _, oid=oid: self._objects.release(oid))  # type: ignore[misc]

    def answer(self, attempt: AttemptAt, answer: Answer) -> None:
        """Answer what an Attempt said to its transaction, or of a stream."""
        self._give(lambda driver: driver.answer(attempt, answer))

    def overstayed(self, attempt: AttemptAt, failure: Failure) -> None:
        """End the Sandbox for what an Attempt does."""
        self._give(lambda driver: driver.overstayed(attempt, failure))

    def hold_until(self, at: float) -> None:
        """Enter bodies until then, and not after."""
        self._give(lambda driver: driver.hold_until(at))

    def fence(self) -> None:
        """Enter nothing more of what was given so far."""
        self._give(lambda driver: driver.fence())

    def drain(self) -> None:
        """Start nothing more."""
        self._give(lambda driver: driver.drain())

    def stop(self) -> None:
        """Tell nothing more."""
        self._events = None


class _Reported:
    """What a Worker tells, on its way (port WorkerEvents)."""

    def __init__(self, link: SimLink, driver: WorkerDriver) -> None:
        self._link = link
        self._driver = driver

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what a Run wanted done."""
        if self._link.is_cut:
            self._link.drop(event)
        self._link.tell(lambda events: events.told(run, event))

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""
        self._link.tell(lambda events: events.printed(said))

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """A Batch is to go to a Sandbox: on another host that waits for the engine, where it must know (W9)."""
        if self._link.must_ask(sent.holds):
            self._link.tell(lambda events: events.batch_sent(sent, lambda: self._link.let_go(go)))
        else:
            self._link.tell(lambda events: events.batch_sent(sent, _nothing))
            go()

    def running(self, rows: Sequence[Running]) -> None:
        """Something has been running for long."""
        self._link.tell(lambda events: events.running(rows))

    def came(self, came: Came) -> None:
        """Nothing moves here that costs anything."""

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """An Attempt says something to its transaction, or of a stream."""
        self._link.tell(lambda events: events.asked(attempt, message))

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox is gone."""
        self._link.tell(lambda events: events.sandbox_ended(sandbox))

    def rested(self) -> None:
        """What there was to be done has been handed on."""
        quiet, heard = self._driver.quiet, self._link.taken

        def hear(events: WorkerEvents) -> None:
            self._link.rested(quiet, heard)
            events.rested()

        self._link.tell(hear)

    def gone(self, why: str, known: KnownBatches) -> None:
        """The driver itself is never gone."""


def _nothing() -> None:
    """A Batch has gone already."""


class CountedObjects:
    """The store of an engine as one Worker uses it: what the Worker holds goes with it (port Objects)."""

    def __init__(self, inner: Objects) -> None:
        self._inner = inner
        self.publish, self.adopt, self.attach = inner.publish, inner.adopt, inner.attach
        self.descriptor, self.view, self.stats = inner.descriptor, inner.view, inner.stats
        self.drop = inner.release
        """Removes the hold of a message that never arrives."""
        self._holds: Counter[ObjectId] = Counter()
        self._closed = False

    @property
    def is_empty(self) -> bool:
        """Whether the engine has no Object at all."""
        return self._inner.is_empty

    def hold(self, oid: ObjectId) -> None:
        """Add a holder."""
        if not self._closed:
            self._holds[oid] += 1
            self._inner.hold(oid)

    def release(self, oid: ObjectId) -> None:
        """Remove a holder."""
        if not self._closed:
            self._holds[oid] -= 1
            self._inner.release(oid)

    def when_freed(self, tell: Callable[[ObjectId], None]) -> None:
        """Say whom to tell of what has no holder any more, anywhere."""
        self._inner.when_freed(tell)

    def close(self) -> None:
        """Release all that is held here."""
        if not self._closed:
            self._closed = True
            for oid, count in self._holds.items():
                for _ in range(count):
                    self._inner.release(oid)
