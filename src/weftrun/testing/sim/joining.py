"""Graphs of quiet Steps that join what several Workers make: in simulated worlds where Steps are armed everywhere.

Drawn apart from everything else, so that without them each seed is what it was.
"""

from __future__ import annotations

from dataclasses import replace

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.settings import Settings

_JOINED = (
    "quiet", "quiet", "large", "loose", "loose_large", "fixed", "sure_large", "behind", "stumbles", "gamble", "beside",
)  # fmt: skip
_SEEN = ("draw", "shown", "stumbles_seen", "strict")


def with_joins(settings: Settings, chance: Chance) -> Settings:
    """Return settings under which Steps are armed at several Workers, and are planned apart from one another."""
    workers = replace(
        settings.workers,
        count=2 + chance.below(2),
        arms=True,
        meets=True,
        placement=chance.one_of(("hash", "hash", "planned", "faasflow")),
        # What one Worker reports is often overtaken by what that has set off at another.
        reports_s=chance.one_of(((0.0, 0.0), (0.0, 0.1), (0.0, 0.1))),
        leaves_s=chance.one_of(((0.0, 0.0), (0.0, 0.0), (0.0, 0.5), (0.0, 60.0))),
    )
    return replace(settings, workers=workers)


def draw_joins(chance: Chance) -> BodyPlan:
    """Draw a graph in layers, each Step of which takes from one to three before it, mostly of the last layer."""
    ops: list[Op] = []
    last: list[int] = []
    for _ in range(2 + chance.below(4)):
        layer = []
        for _ in range(1 + chance.below(4)):
            takes = {chance.one_of(last) for _ in range(1 + chance.below(3))} if last else set()
            if ops and chance.happens(0.2):
                takes.add(chance.below(len(ops)))
            name = chance.one_of(_SEEN if chance.happens(0.15) else _JOINED)
            layer.append(len(ops))
            ops.append(Op("call", name, tuple(sorted(takes))))
        last = layer
    return BodyPlan(tuple(ops), tuple(last))
