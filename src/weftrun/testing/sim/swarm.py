"""The swarm: each seed draws its own workflows, which faults exist and how often, and the engine's own limits.

First a phase of chaos, then one without faults in which everything must end: a history that only survives the first
one has proved little.
"""

from __future__ import annotations

from pathlib import Path

from weftrun.model.limits import Limits
from weftrun.testing.oracles import findings
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import KINDS, Fault, Faults
from weftrun.testing.sim.outside import Pace
from weftrun.testing.sim.plans import FUNCTIONS, draw_plan, watched, wired
from weftrun.testing.sim.reference import differences
from weftrun.testing.sim.sweep import Broken
from weftrun.testing.sim.world import Settings, World

_CRASHES = (Fault.CRASH_BEFORE, Fault.CRASH_AFTER)


class DrawnFaults(Faults):
    """Faults that a seed draws: some kinds do not exist in its world, the others are rare or not so rare."""

    def __init__(self, seed: int) -> None:
        """Draw which kinds there are, and how many faults happen at most."""
        super().__init__()
        chance = self._chance = Chance(seed, "faults")
        self._kinds = [fault for fault in Fault if chance.happens(0.6)]
        self._rate = chance.one_of((0.0, 0.01, 0.05, 0.15))
        self._most = chance.below(9)

    def at(self, name: str) -> Fault | None:
        """Count a point and draw whether it goes wrong."""
        number = len(self.points)
        self.points.append(name)
        possible = [fault for fault in KINDS[name] if fault in self._kinds]
        if self.off or not possible or len(self.happened) >= self._most or not self._chance.happens(self._rate):
            return None
        fault = self._chance.one_of(possible)
        self.happened.append((number, name, fault))
        return fault


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


def draw_world(seed: int, folder: Path) -> World:
    """Draw a world with its clients; nothing has happened in it yet."""
    chance = Chance(seed, "swarm")
    world = World(seed, folder, FUNCTIONS, faults=DrawnFaults(seed), settings=draw_settings(chance))
    for number in range(1 + chance.below(3)):
        watches = chance.happens(0.6)
        plan = draw_plan(chance, watches=watches)
        client = world.start(f"run-{number}", watched if watches else wired, plan, at_s=chance.between(0.0, 0.02))
        if chance.happens(0.1):
            client.cancel_at_s = chance.between(0.0, 0.05)
        client.durable = not chance.happens(0.1)
    return world


def play_seed(seed: int, folder: Path) -> tuple[World, Broken | None]:
    """Play one history and judge it."""
    world = draw_world(seed, folder)
    return world, judged(world)


def judged(world: World) -> Broken | None:
    """Play a drawn world and return what is wrong with its history, if anything is."""
    try:
        world.run()
        found = [*findings(world), *differences(world)]
    except Exception as error:  # noqa: BLE001  # a bug of the engine may be any error, and the next seed must still be played
        found = [f"{type(error).__name__}: {error}"]
    world.close()
    plan = {number: fault for number, _, fault in world.faults.happened}
    return Broken("swarm", world.seed, plan, tuple(found), world.story()) if found else None
