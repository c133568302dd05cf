"""Operated worlds of the swarm: in each some of queues, schedules, forks and retention are drawn."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.forked import ForkActor
from weftrun.testing.sim.operators import QueueActor, ScheduleActor
from weftrun.testing.sim.plans import wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.queued import draw_asked, draw_limits
from weftrun.testing.sim.retained import RetentionActor
from weftrun.testing.sim.scheduled import draw_skews
from weftrun.testing.sim.settings import Settings
from weftrun.testing.sim.world import World

_SHORT = (
    BodyPlan((Op("call", "draw"),), (0,), True),
    BodyPlan((Op("call", "quiet"), Op("call", "shown", (0,))), (1,), False),
    BodyPlan((Op("call", "large"), Op("call", "draw", (0,))), (1,), False),
    BodyPlan((Op("call", "gamble"),), (0,), False),
)
"""What most Runs of a queue do, so that many of them cost little."""


def operated(settings: Settings, seed: int) -> Settings:
    """Draw what engines must have for operators, by chances of their own."""
    chance = Chance(seed, "operated")
    limits = msgspec.structs.replace(settings.limits, queue_runs_max=chance.one_of((1, 2, 512)))
    skews = draw_skews(chance) if chance.happens(0.5) else ()
    return replace(settings, limits=limits, clock_skews=skews)


def with_operators(world: World) -> None:
    """Draw who operates in a world whose clients are there."""
    seed = world.seed
    chance = Chance(seed, "operators")
    if chance.happens(0.6):
        _draw_queue(world, chance)
        world.actors.append(QueueActor(Chance(seed, "queue"), seed))
    skews = world.settings.clock_skews
    if skews:
        world.actors.append(ScheduleActor(Chance(seed, "schedule"), seed, rarely=max(skews) > 60.0))
    if chance.happens(0.6):
        world.actors.append(ForkActor(Chance(seed, "forks")))
    if chance.happens(0.5):
        world.actors.append(RetentionActor(Chance(seed, "retention")))


def _draw_queue(world: World, chance: Chance) -> None:
    """Put some clients' Runs into a queue, and more beside them, so that they stand in each other's way."""
    limits = draw_limits(chance)
    asked = {client.id: draw_asked(chance, limits) for client in world.clients if chance.happens(0.7)}
    for client in world.clients:
        client.asked = asked.get(client.id)
    for number in range(2 + chance.below(5)):
        client = world.start(f"short-{number}", wired, chance.one_of(_SHORT), at_s=chance.between(0.0, 0.3))
        client.asked = draw_asked(chance, limits)
        client.slot = chance.below(world.settings.engines)
        if chance.happens(0.15):
            client.cancel_at_s = chance.between(0.0, 0.3)
