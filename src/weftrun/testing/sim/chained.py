"""Chains whose Steps each wait for the row of the one before, alone in a world where the loop commits by itself.

There the next Step is had ready beside the commit. Drawn apart from everything else, so that without them each seed is
what it was.
"""

from __future__ import annotations

from dataclasses import replace

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.settings import Settings

_WAITED_FOR = ("strict", "draw", "strict", "shown", "large", "stumbles_seen", "gamble")


def drawn_alone(seed: int) -> Chance | None:
    """Draw whether a world has a chain and nothing else; return what draws it."""
    chance = Chance(seed, "chain")
    return chance if chance.happens(0.15) else None


def with_chain(settings: Settings, chance: Chance) -> Settings:
    """Return settings under which nothing but the chain goes on, and commits are quick."""
    return replace(settings, busy=chance.one_of((0.0, 0.0, 0.3)), lanes={"journal": (0.00005, 0.0005)})


def draw_chain(chance: Chance) -> BodyPlan:
    """Draw a chain of calls, each of which takes the value of the one before."""
    ops = [
        Op("call", chance.one_of(_WAITED_FOR), (number - 1,) if number else ()) for number in range(6 + chance.below(9))
    ]
    return BodyPlan(tuple(ops), (len(ops) - 1,), bare=True)
