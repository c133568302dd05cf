"""The swarm: each seed draws its own workflows, which faults exist and how often, and the engine's own limits.

First a phase of chaos, then one without faults in which everything must end: a history that only survives the first
one has proved little.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import msgspec

from weftrun.model.limits import Limits
from weftrun.testing.oracles import findings
from weftrun.testing.sim.at_once import entered_again, with_sharing
from weftrun.testing.sim.awaiting import draw_sent, with_waits
from weftrun.testing.sim.chained import draw_chain, drawn_alone, with_chain
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.effects import Effects, draw_effects, settings_with, with_effects
from weftrun.testing.sim.endless import harmed, has_endless, with_endless
from weftrun.testing.sim.faults import KINDS, PAUSES, Fault, Faults
from weftrun.testing.sim.firsts import with_firsts
from weftrun.testing.sim.joining import draw_joins, with_joins
from weftrun.testing.sim.operating import operated, with_operators
from weftrun.testing.sim.outside import Pace
from weftrun.testing.sim.plans import FUNCTIONS, NO_CALLS, draw_plan, watched, wired
from weftrun.testing.sim.putting import with_outputs
from weftrun.testing.sim.racing import draw_races
from weftrun.testing.sim.reference import differences
from weftrun.testing.sim.settings import WorkerSettings
from weftrun.testing.sim.sweep import Broken
from weftrun.testing.sim.telling import FAR, NEAR
from weftrun.testing.sim.world import Outage, Settings, SimClient, World

_PAUSES = ((0.1, 0.6), (0.9, 1.1), (1.2, 2.0), (1.2, 2.0), (3.0, 6.0))
"""How long an engine stands still, in times of the Lease."""


_OWNING = ("journal.begin", "journal.declare_dead", "journal.claim", "journal.load", "journal.look", "sandboxes.hold")
_OWNING_RATE = 0.2
"""Calls that decide who owns what are few; where several engines are, they go wrong often."""


_EFFECTING = {
    "guest.say": 0.1,
    "outbox.settle": 1.0,
    "outbox.take": 1.0,
    "sink.send": 1.0,
    "transaction.commit": 1.0,
    "transaction.open": 0.2,
    "transaction.say": 0.1,
}
"""Calls that only effects make, and how likely each of them goes wrong beside the others: a commit comes after many.

They are few, too, and drawn apart, so that without them all else stays as it was.
"""

_DECIDING_S = 300.0
"""Once engines have stood still for so long in all, they do so at decisions no more, in seconds of virtual time.

Those have no number of their own at which they end, and a history must be over in twice that time.
"""


class DrawnFaults(Faults):
    """Faults that a seed draws: some kinds do not exist in its world, the others are rare or not so rare."""

    def __init__(self, seed: int, settings: Settings) -> None:
        """Draw which kinds there are, and how many faults happen at most."""
        super().__init__()
        chance = self._chance = Chance(seed, "faults")
        kinds = [fault for fault in Fault if chance.happens(0.6)]
        if settings.engines == 1 and chance.happens(0.7):
            kinds = [fault for fault in kinds if fault not in PAUSES]
        self._possible = {name: [fault for fault in faults if fault in kinds] for name, faults in KINDS.items()}
        self._rate = chance.one_of((0.0, 0.01, 0.05, 0.15))
        self._most = chance.below(9)
        self._count = 0
        self._owns = settings.engines > 1 and chance.happens(0.7)
        self._ttl_s = settings.limits.lease_ttl_s
        self._pauses = settings.engines > 1
        self._effecting = Chance(seed, "faults of effects")
        self._effecting_rate = self._effecting.one_of((0.0, 0.1, 0.4))
        self._effecting_most = 1 + self._effecting.below(6)
        self._deciding = Chance(seed, "faults of decisions")
        self._deciding_rate = self._deciding.one_of((0.0, 0.2, 0.5)) if self._pauses else 0.0
        self._stood_s = 0.0

    def at(self, name: str) -> Fault | None:
        """Count a point and draw whether it goes wrong."""
        if self.off:
            return None
        number = len(self.points)
        self.points.append(name)
        if name in _EFFECTING:
            return self._at_effect(number, name)
        if name == "journal.queue_now":
            return self._at_decision(number, name)
        possible = self._possible[name]
        rate = _OWNING_RATE if self._owns and name in _OWNING else self._rate
        if not possible or self._count >= self._most or not self._chance.happens(rate):
            return None
        fault = self._chance.one_of(possible)
        self._count += 1
        self.happened.append((number, name, fault))
        return fault

    def _at_effect(self, number: int, name: str) -> Fault | None:
        chance = self._effecting
        if not self._effecting_most or not chance.happens(self._effecting_rate * _EFFECTING[name]):
            return None
        self._effecting_most -= 1
        fault = chance.one_of([fault for fault in KINDS[name] if self._pauses or fault not in PAUSES])
        self.happened.append((number, name, fault))
        return fault

    def _at_decision(self, number: int, name: str) -> Fault | None:
        """Draw whether another engine may decide between what this one reads and what it writes."""
        if self._stood_s >= _DECIDING_S or not self._deciding.happens(self._deciding_rate):
            return None
        fault = self._deciding.one_of(KINDS[name])
        self.happened.append((number, name, fault))
        return fault

    def pause_s(self) -> float:
        """Draw how long the process stands still, in seconds."""
        pause_s = draw_pause(self._chance, self._ttl_s)
        self._stood_s += pause_s
        return pause_s


def draw_pause(chance: Chance, ttl_s: float) -> float:
    """Draw how long a process stands still: much shorter than its Lease, about as long, or longer."""
    return ttl_s * chance.between(*chance.one_of(_PAUSES))


def draw_settings(chance: Chance) -> Settings:
    """Draw how slow things are and how narrow the engine's limits."""
    slow = {"journal": (0.01, 0.08), "blobs": (0.05, 0.3)}
    quick = {"journal": (0.00001, 0.0001), "blobs": (0.00001, 0.0001)}
    return Settings(
        limits=Limits(
            inline_bytes_max=chance.one_of((512, 4_096, 65_536)),
            batch_size_max=chance.one_of((1, 2, 256)),
            batch_items_max=chance.one_of((1, 3, 8_192)),
            losses_max=20,
            sandbox_idle_s=10.0,
            sandbox_start_s=10.0,
            takeovers_max=50,
        ),
        sandboxes_max=1 + chance.below(4),
        busy=chance.one_of((0.0, 0.5, 1.0)),
        lanes=chance.one_of(({}, slow, quick, {"blobs": slow["blobs"]}, {"journal": slow["journal"]})),
        pace=Pace(body_s=chance.one_of(((0.00002, 0.002), (0.001, 0.05), (0.0, 0.00001)))),
        lingers=chance.one_of((0.0, 0.5)),
    )


def with_engines(settings: Settings, chance: Chance) -> Settings:
    """Draw how many engines there are, on how many hosts, and what happens to them beside faults."""
    engines = chance.one_of((1, 1, 1, 2, 2, 3))
    if engines == 1:
        return settings
    ttl_s = chance.one_of((0.5, 2.0, 10.0))
    outages = []
    for _ in range(chance.below(4)):
        kind = chance.one_of(("close", "kill", "pause", "pause"))
        for_s = chance.one_of((0.0, 0.1, 5.0)) if kind == "close" else draw_pause(chance, ttl_s)
        outages.append(Outage(chance.between(0.0, chance.one_of((0.05, 1.0, 3.0))), chance.below(engines), kind, for_s))
    stalling = {**settings.lanes, "journal": (0.001, 0.3 * ttl_s)}
    return replace(
        settings,
        engines=engines,
        hosts=chance.one_of((1, engines)),
        limits=msgspec.structs.replace(settings.limits, lease_ttl_s=ttl_s),
        sleeps=chance.one_of((0.0, 0.3)),
        downtime_s=chance.one_of(((0.0, 0.0), (0.0, 1.0), (0.0, 3 * ttl_s))),
        outages=tuple(outages),
        lanes=stalling if chance.happens(0.1) else settings.lanes,
        # Leases matter only to Runs that take their time.
        pace=replace(
            settings.pace,
            body_s=chance.one_of((settings.pace.body_s, (0.01, 0.2 * ttl_s), (0.05, ttl_s))),
            hop_s=chance.one_of(((0.00001, 0.0001), (0.00001, 0.0001), (0.00001, 0.3))),
        ),
    )


def with_code(settings: Settings, chance: Chance) -> Settings:
    """Draw whether engines may have code that does not fit for a while: some end then, and come back with it."""
    if chance.happens(0.65):
        return settings
    until_s = chance.between(0.05, chance.one_of((0.3, 2.0)))
    ends = (chance.between(0.001, until_s) for _ in range(1 + chance.below(3)))
    deploys = tuple(
        Outage(at_s, chance.below(settings.engines), chance.one_of(("kill", "close")), 0.0) for at_s in ends
    )
    return replace(settings, unfit_s=(0.001, until_s), outages=(*settings.outages, *deploys))


def on_server(settings: Settings, chance: Chance) -> Settings:
    """Draw whether authors' transactions are a server's, and how often it ends one by itself."""
    if chance.happens(0.6):
        return settings
    return replace(
        settings,
        limits=msgspec.structs.replace(settings.limits, transactions_max=chance.one_of((1, 2, 8))),
        transactions_lost=chance.one_of((0.0, 0.0, 0.1)),
    )


def with_workers(settings: Settings, seed: int, *, joins: bool) -> Settings:
    """Draw how many Worker processes each engine has, who starts the next Step, and what becomes of them."""
    chance = Chance(seed, "workers")
    workers = WorkerSettings(
        count=1 + chance.below(3),
        sandboxes=1 + chance.below(2),
        arms=chance.happens(0.6),
        dies=chance.one_of((0.0, 0.3, 0.8)),
        freezes=chance.one_of((0.0, 0.3)),
        cuts=chance.one_of((0.0, 0.3)),
        placement=chance.one_of(("planned", "planned", "hash", "faasflow")),
        meets=chance.happens(0.8),
        loses=chance.one_of((0.0, 0.0, 0.2)),
        late_s=chance.one_of(((0.0, 0.0001), (0.0, 0.01), (0.0, 0.5))),
        deaf=chance.one_of((0.0, 0.0, 0.3)),
    )
    settings = replace(settings, workers=workers)
    return with_joins(settings, Chance(seed, "joins")) if joins else settings


def with_body_time(settings: Settings) -> Settings:
    """Let a body take its time, which is drawn, but not much more."""
    limits = msgspec.structs.replace(settings.limits, body_timeout_s=2 * settings.pace.body_s[1] + 1.0)
    return replace(settings, limits=limits)


def _drawn_apart(settings: Settings, seed: int) -> Settings:
    """Draw limits by chances of their own, so that what is drawn after them stays as it was."""
    wait_s = Chance(seed, "waiting").one_of((0.05, 0.15, 5.0))
    limits = msgspec.structs.replace(settings.limits, wait_in_memory_s=wait_s)
    return replace(settings, limits=limits, on_outputs=Chance(seed, "trigger").happens(0.8))


def _drawn_as_asked(settings: Settings, seed: int, *, server: bool, lives: bool, operators: bool) -> Settings:
    """Draw, each by chances of its own, what a world has only where that is asked for."""
    if server:
        settings = on_server(settings, Chance(seed, "server"))
    settings = with_body_time(settings)
    if lives:
        settings = with_code(settings, Chance(seed, "unfit"))
    return operated(settings, seed) if operators else settings


def draw_world(
    seed: int, folder: Path, *, effects: bool = True, server: bool = True, lives: bool = True, workers: bool = False,
    sharing: bool = False, outputs: bool = False, joins: bool = False, firsts: bool = False, durable: bool = False,
    operators: bool = False,
) -> World:  # fmt: skip
    """Draw a world with its clients; nothing has happened in it yet.

    Args:
        lives: whether Runs may be retried, and code may not fit them for a while; likewise.
        effects: whether Steps may transact, be undone, and emit; without them the seed is the same in all else.
        server: whether their transactions may be a server's, of which many are open at once; likewise.
        workers: whether each engine has Workers in other processes.
        sharing: whether there are Functions whose Attempts share a Sandbox.
        outputs: whether there are Functions that put a value before they end.
        durable: whether there are Functions that put a value which stands for all their Attempts.
        firsts: whether `def` bodies go on with the first of several calls.
        joins: whether Runs are graphs of which Workers start most by themselves; takes `workers`.
        operators: whether there are queues, schedules, forks, and Runs that are deleted.
    """
    chance = Chance(seed, "swarm")
    engines = Chance(seed, "engines")
    outside = Chance(seed, "effects")
    does = draw_effects(outside) if effects else Effects((), (), 0.0, ())
    settings = settings_with(_drawn_apart(with_engines(draw_settings(chance), engines), seed), does, outside)
    settings = _drawn_as_asked(settings, seed, server=server, lives=lives, operators=operators)
    endless = Chance(seed, "endless")
    goes_on = endless.happens(0.4)
    settings = with_workers(settings, seed, joins=joins) if workers else settings
    drawn = Chance(seed, "signals")
    waits = drawn if drawn.happens(0.4) else None
    alone = None if joins or firsts else drawn_alone(seed)
    settings = with_chain(settings, alone) if alone is not None else settings
    world = World(seed, folder, FUNCTIONS, faults=DrawnFaults(seed, settings), settings=settings)
    for name, kind in zip((NEAR, FAR), does.sinks, strict=False):
        world.add_sink(name, kind)
    for number in range(1 if alone is not None else 1 + chance.below(3)):
        watches = chance.happens(0.6) and alone is None and not joins
        plan = with_effects(draw_plan(chance, watches=watches), does, outside)
        plan = with_endless(plan, endless) if goes_on else plan
        plan = with_sharing(plan, Chance(seed, f"sharing {number}")) if sharing else plan
        if outputs or durable:
            plan = with_outputs(plan, Chance(seed, f"outputs {number}"), NO_CALLS, durable=durable)
        plan = with_waits(plan, waits) if waits is not None and (watches or not firsts) else plan
        plan = draw_joins(Chance(seed, f"joins {number}")) if joins else plan
        plan = draw_chain(alone) if alone is not None else plan
        plan = with_firsts(plan, Chance(seed, f"firsts {number}"), NO_CALLS, watches=watches) if firsts else plan
        plan = draw_races(plan, Chance(seed, f"races {number}"), watches=watches)
        client = world.start(f"run-{number}", watched if watches else wired, plan, at_s=chance.between(0.0, 0.02))
        if chance.happens(0.1):
            client.cancel_at_s = chance.between(0.0, 0.05)
        client.durable = not chance.happens(0.1)
        if waits is not None and client.durable:
            client.sends = draw_sent(waits)
        client.slot = engines.below(settings.engines)
        _draw_others(world, client, engines)
    if lives:
        _draw_lives(world, Chance(seed, "lives"))
    if operators:
        with_operators(world)
    return world


def _draw_others(world: World, client: SimClient, engines: Chance) -> None:
    """Draw who else starts the same Run at the same time, or later, somewhere else."""
    for _ in range(1, world.settings.engines):
        if client.durable and engines.happens(0.3):
            at_s = client.at_s if engines.happens(0.5) else engines.between(0.0, 0.5)
            slot = engines.below(world.settings.engines)
            world.start(client.id, client.function, *client.args, at_s=at_s, slot=slot)


def _draw_lives(world: World, chance: Chance) -> None:
    """Draw who retries Runs that have failed, and how often."""
    if chance.happens(0.5):
        return
    for client in world.clients:
        client.retries = chance.below(3)
        if client.retries and client.cancel_at_s is None and chance.happens(0.3):
            client.cancel_at_s = chance.between(0.0, 0.05)


def play_seed(
    seed: int, folder: Path, *, effects: bool = True, server: bool = True, lives: bool = True, workers: bool = False,
    sharing: bool = False, outputs: bool = False, joins: bool = False, firsts: bool = False, durable: bool = False,
    operators: bool = False,
) -> tuple[World, Broken | None]:  # fmt: skip
    """Play one history and judge it; see `draw_world`."""
    world = draw_world(
        seed, folder, effects=effects, server=server, lives=lives, workers=workers, sharing=sharing, outputs=outputs,
        joins=joins, firsts=firsts, durable=durable, operators=operators,
    )  # fmt: skip
    return world, judged(world)


def judged(world: World) -> Broken | None:
    """Play a drawn world and return what is wrong with its history, if anything is."""
    try:
        world.run()
        found = [*findings(world), *differences(world), *_harmed(world), *entered_again(world.ledger.entries)]
    except Exception as error:  # noqa: BLE001  # a bug of the engine may be any error, and the next seed must still be played
        found = [f"{type(error).__name__}: {error}"]
    world.close()
    plan = {number: fault for number, _, fault in world.faults.happened}
    return Broken("swarm", world.seed, plan, tuple(found), world.story()) if found else None


def _harmed(world: World) -> Iterator[str]:
    known = {client.uid: has_endless(client.args[0]) for client in world.clients if client.uid is not None}
    return (f"endless: {text}" for text in harmed(world.rows, world.ledger.entries, known))
