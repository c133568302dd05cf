"""The swarm of shared Runs: each seed draws a graph, hosts and weather; first there is chaos, then all must end."""

from __future__ import annotations

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.shared.judge import findings
from weftrun.testing.sim.shared.scripts import draw_scripts
from weftrun.testing.sim.shared.world import SharedWorld, Weather

_LINE_MAX = 300


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


def story(world: SharedWorld, found: list[str]) -> str:
    """Return what is wrong with a history, and the history: rows and entries, in the order of time."""
    lines = [(row.at, f"row {row.seq}, epoch {row.epoch}: {row.records[-1]}"[:_LINE_MAX]) for row in world.journal.rows]
    lines += [
        (entry.at, f"Worker {entry.engine} enters {entry.step}, Attempt {entry.attempt}, after row {entry.row}")
        for entry in world.entries
    ]
    scripts = [f"{name}: {script}" for name, script in world.scripts.items()]
    events = [f"{at:.4f} {text}" for at, text in sorted(lines)]
    return "\n".join([f"seed {world.seed}, {world.weather}", *found, *scripts, *events])


def play_seed(seed: int) -> tuple[SharedWorld, list[str]]:
    """Play one history and judge it."""
    world = draw_world(seed)
    try:
        world.run()
        found = findings(world)
    except Exception as error:  # noqa: BLE001  # a bug of a machine may be any error, and the next seed must be played
        found = [f"{type(error).__name__}: {error}"]
    return world, found
