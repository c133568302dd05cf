"""Attempts that share a Sandbox, put into plans that were drawn without them; and whether neighbours came to harm.

Drawn apart from everything else, so that without them each seed is what it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from weftrun.machines.retry import may_repeat
from weftrun.model.policy import Kind
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.ledger import LedgerEntry
from weftrun.testing.sim.plans_model import BodyPlan, Op

_NAMES = ("beside", "beside_once")
_TAKEN = ("draw", "quiet", "fixed", "shown", "strict")


def with_sharing(plan: BodyPlan, chance: Chance) -> BodyPlan:
    """Return a plan with more calls, in which many of the plain ones are of Functions that share a Sandbox."""
    ops = tuple(_shared(op, chance) for op in plan.ops)
    more = tuple(Op("call", chance.one_of(_NAMES)) for _ in range(chance.below(5)))
    return replace(plan, ops=(*ops, *more))


def _shared(op: Op, chance: Chance) -> Op:
    if op.plan is not None:
        return replace(op, plan=with_sharing(op.plan, chance))
    if op.kind == "call" and op.name in _TAKEN and chance.happens(0.7):
        return replace(op, name=chance.one_of(_NAMES))
    return op


def entered_again(entries: Sequence[LedgerEntry]) -> Iterator[str]:
    """Yield Attempts that were entered twice in one opening of their Run, though nobody may see them twice.

    That is what `retries=0` promises: the loss of a Sandbox, or of a Worker (W9), does not bring an Attempt again. An
    engine that takes the Run over, reads it again or begins another life of it knows only what is on record: each
    opening counts by itself.
    """
    once = (e for e in entries if e.function.kind is Kind.FUNCTION and not may_repeat(e.function))
    for (engine, opening, _, step, attempt), count in Counter(
        (e.engine, e.opening, e.uid, e.step, e.attempt) for e in once
    ).items():
        if count > 1:
            told = f"Attempt {attempt} of {step} was entered {count} times by engine {engine} after reading {opening}"
            yield f"{told}, and may be once"
