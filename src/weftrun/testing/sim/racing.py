"""Bodies that wait for several calls at once, in simulated worlds: what they saw first is part of all that follows.

A replay that sees another one first calls with other arguments, which the oracles find.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from weftrun.sdk.place import current
from weftrun.sdk.together import as_settled
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.values import NOTHING, Lineage, Planned, lineage

SEVERAL = "several"
_NO_CALLS = ("await", "skip", "pause", "listen", SEVERAL)


async def see_several(refs: Sequence[Any], number: int) -> Lineage:
    """Wait for all of these, and return what they are and the order in which they were seen."""
    seen: Lineage = NOTHING
    order = []
    step = current().step_id
    async for done in as_settled(refs):
        order.append(done.place)
        try:
            seen |= lineage(done.result())
        except Planned as error:
            seen |= lineage(error)
    told = int("".join(map(str, order)) or "0")
    return seen | {(f"{step}@order{number}", told)}


def draw_races(plan: BodyPlan, chance: Chance, *, watches: bool) -> BodyPlan:
    """Return a plan some of whose bodies wait for several calls at once, in a share of all worlds."""
    return with_races(plan, chance) if watches and chance.happens(0.3) else plan


def with_races(plan: BodyPlan, chance: Chance) -> BodyPlan:
    """Return a plan whose async bodies wait now and then for several of their calls at once."""
    ops: list[Op] = []
    made = 0
    for op in plan.ops:
        drawn = replace(op, plan=with_races(op.plan, chance)) if op.plan is not None and op.kind == "watched" else op
        ops.append(drawn)
        made += drawn.kind not in _NO_CALLS
        if made > 1 and chance.happens(0.35):
            takes = tuple(sorted({chance.below(made) for _ in range(4)}))
            ops.append(Op(SEVERAL, takes=takes))
    return replace(plan, ops=tuple(ops))
