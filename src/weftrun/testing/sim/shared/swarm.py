"""The swarm of shared Runs: each seed draws a graph, hosts and weather; first there is chaos, then all must end."""

from __future__ import annotations

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.shared.judge import findings
from weftrun.testing.sim.shared.scripts import draw_scripts
from weftrun.testing.sim.shared.world import SharedWorld, Weather


def draw_weather(chance: Chance) -> Weather:
    """Draw what goes wrong, and how often."""
    return Weather(
        lost=chance.one_of((0.0, 0.0, 0.1, 0.4)),
        doubled=chance.one_of((0.0, 0.1, 0.5)),
        late=chance.one_of((0.0, 0.0, 0.05, 0.3)),
        unknown=chance.one_of((0.0, 0.1, 0.3)),
        dead_s=chance.one_of((0.0, 1.0, 2.0, 4.0)),
        frozen_s=chance.one_of((0.0, 0.7, 2.0)),
        joins_s=chance.one_of((0.0, 0.4, 1.5)),
        sandbox=chance.one_of((0.0, 0.05)),
        chaos_s=chance.between(1.0, 8.0),
        net_s=chance.one_of((0.001, 0.05)),
        disk_s=chance.one_of((0.0005, 0.03, 0.4)),
        start_s=chance.one_of((0.001, 0.02, 1.5)),
        body_s=chance.one_of((0.001, 0.2, 0.6, 1.2)),
    )


def draw_world(seed: int) -> SharedWorld:
    """Draw a world; nothing has happened in it yet."""
    chance = Chance(seed, "shared")
    return SharedWorld(seed, draw_scripts(chance), draw_weather(chance), 2 + chance.below(4))


def play_seed(seed: int) -> tuple[SharedWorld, list[str]]:
    """Play one history and judge it."""
    world = draw_world(seed)
    try:
        world.run()
        found = findings(world)
    except Exception as error:  # noqa: BLE001  # a bug of a machine may be any error, and the next seed must be played
        found = [f"{type(error).__name__}: {error}"]
    return world, found
