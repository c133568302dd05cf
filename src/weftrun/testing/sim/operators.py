"""Operators of a simulated world's queue and schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from weftrun.model.policy import Bundle
from weftrun.model.records import Ended
from weftrun.model.schedules import CatchUp, KeptSchedule, Timetable, run_of
from weftrun.model.values import Inline, Payload
from weftrun.ports.journal import Journal
from weftrun.runtime.queues import QueueBook
from weftrun.runtime.schedules import ScheduleBook
from weftrun.sdk.canonical import digest
from weftrun.sdk.codec import encode
from weftrun.testing.sim.actors import Actor
from weftrun.testing.sim.chance import Chance, SeededEntropy
from weftrun.testing.sim.plans import wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.queued import QUEUE
from weftrun.testing.sim.scheduled import STEADY
from weftrun.testing.sim.world import World

SCHEDULE = "tick"
_LOOKS_S = 0.2


class QueueActor(Actor[World]):
    """An operator of a queue: lowers and raises its limits, stops it for a while, and may cancel all who wait."""

    def __init__(self, chance: Chance, seed: int) -> None:
        """Draw what the operator does; the last thing lets the queue go on."""
        self._entropy = SeededEntropy(seed + 1)
        self._todo: list[tuple[float, Callable[[QueueBook], object]]] = []
        self._began = 0.0
        self._is_over = False
        at = 0.0
        for _ in range(chance.below(4)):
            at += chance.between(0.0, chance.one_of((0.05, 0.5)))
            pauses, most = chance.happens(0.4), 1 + chance.below(3)
            if chance.happens(0.15):
                self._todo.append((at, _purge))
            else:
                self._todo.append((at, partial(_pause, paused=True) if pauses else partial(_limit, most)))
        self._todo.append((at + 0.5, partial(_pause, paused=False)))

    def begin(self, world: World) -> None:
        """Do what was drawn, one thing after the other, each not before its time."""
        self._began = world.loop.now()
        self._next(world)

    def _next(self, world: World) -> None:
        if self._todo:
            at, change = self._todo.pop(0)
            world.loop.call_at(max(self._began + at, world.loop.now()), partial(self._do, world, change))
        else:
            self._is_over = True

    def _do(self, world: World, change: Callable[[QueueBook], object]) -> None:
        def work(journal: Journal) -> None:
            if journal.queue(QUEUE) is not None:
                change(QueueBook(journal, self._entropy))
            self._next(world)

        world.at_console(work)

    def is_over(self) -> bool:
        """Say whether all was done."""
        return self._is_over

    def findings(self, world: World) -> Iterator[str]:
        """Yield what the register has seen, and who is in the queue when all is over."""
        yield from world.register.queues.broken
        for counts in world.queues_left():
            for count, what in ((counts.waiting, "wait"), (counts.delayed, "are delayed"), (counts.under_way, "run")):
                if count:
                    yield f"queue: {count} Runs {what} in {counts.queue.name}, though all have ended"


def _purge(book: QueueBook) -> None:
    book.purge(QUEUE)


def _pause(book: QueueBook, *, paused: bool) -> None:
    book.pause(QUEUE, paused=paused)


def _limit(most: int, book: QueueBook) -> None:
    book.set(QUEUE, {"concurrency": most}, makes=True)


class ScheduleActor(Actor[World]):
    """Makes a schedule, waits until it has fired a few times, and pauses it.

    Attributes:
        fires: how often it fires until it is paused.
    """

    def __init__(self, chance: Chance, seed: int, *, rarely: bool) -> None:
        """Draw the timetable; `rarely` is for clocks that are hours ahead, by which many times come at once."""
        catch_up: CatchUp = chance.one_of(("all", "all", "latest", "skip"))
        jitter_s = chance.one_of((0.0, 0.0, 0.5))
        every_s = 40 if rarely else 1 + chance.below(2)
        self._when = Timetable("", every_s, catch_up=catch_up, catch_up_max=3, jitter_s=jitter_s)
        self._at_s = chance.between(0.0, 0.5)
        self.fires = 1 + chance.below(3)
        self._entropy = SeededEntropy(seed + 2)
        self._is_over = False

    def begin(self, world: World) -> None:
        """Make the schedule a little later."""
        world.loop.call_at(
            world.loop.now() + self._at_s, lambda: world.at_console(lambda journal: self._create(world, journal))
        )

    def _book(self, world: World, journal: Journal) -> ScheduleBook:
        return ScheduleBook(journal, self._entropy, STEADY, world.loop.now)

    def _create(self, world: World, journal: Journal) -> None:
        args: tuple[tuple[BodyPlan], dict[str, object]] = (
            (BodyPlan((Op("call", "draw"), Op("call", "quiet", (0,))), (1,), False),),
            {},
        )
        payload = Payload(Inline(encode(args, what="the arguments").tobytes()))
        now = world.loop.now()
        self._book(world, journal).create(
            KeptSchedule(SCHEDULE, "", self._when, wired.spec, Bundle("sim"), payload, digest(args), now, now, None)
        )
        self._look(world)

    def _look(self, world: World) -> None:
        """Pause it once it has fired often enough, and wait for the Runs that it has started."""
        register = world.register.schedules
        kept = register.kept[SCHEDULE]
        if not kept.is_paused and len(register.ever[SCHEDULE]) >= self.fires:
            world.at_console(lambda journal: self._book(world, journal).change(SCHEDULE, "pause"))
        elif kept.is_paused and not kept.pending:
            self._is_over = all(self._has_ended(world, due) for due in register.ever[SCHEDULE])
        if not (self._is_over or world.is_closing):
            world.loop.call_at(world.loop.now() + _LOOKS_S, lambda: self._look(world))

    def _has_ended(self, world: World, due: float) -> bool:
        uid = next((uid for uid, id in world.ids().items() if id == run_of(SCHEDULE, due)), None)
        return uid is not None and any(isinstance(row.records[-1], Ended) for row in world.rows[uid])

    def is_over(self) -> bool:
        """Say whether it is paused, and all that it started has ended."""
        return self._is_over

    def findings(self, world: World) -> Iterator[str]:
        """Yield what the register has seen, and Runs that nobody had decided on."""
        register = world.register.schedules
        yield from register.broken
        ids = list(world.ids().values())
        due = {run_of(SCHEDULE, at) for at in register.ever.get(SCHEDULE, ())}
        for id in sorted(id for id in ids if id.startswith(f"{SCHEDULE}@")):
            if ids.count(id) > 1:
                yield f"schedule: {id} was started {ids.count(id)} times"
            if id not in due:
                yield f"schedule: {id} was started, and nobody had decided on it"
