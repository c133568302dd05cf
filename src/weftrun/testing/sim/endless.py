"""Bodies that go on for ever, put into plans that were drawn without them; and whether they harmed anybody else.

Drawn apart from everything else. A body cannot really go on for ever in one turn of a simulated loop: it says that it
would by `GoesOn`, and its scripted Sandbox stays in it until it is killed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from weftrun.model.ids import RunUid
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Kind
from weftrun.model.records import AttemptFailed, Row, Settled
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.ledger import LedgerEntry
from weftrun.testing.sim.plans_model import ENDLESS, BodyPlan, Op

_SHARE = 0.15
"""How often a plan has an endless body, in worlds that have any."""


def with_endless(plan: BodyPlan, chance: Chance) -> BodyPlan:
    """Return a plan that, now and then, comes to an op which never ends, in its body or in that of a child."""
    if not chance.happens(_SHARE):
        return plan
    children = [position for position, op in enumerate(plan.ops) if op.plan is not None]
    if children and chance.happens(0.5):
        position = chance.one_of(children)
        ops = list(plan.ops)
        child = ops[position].plan
        assert child is not None
        ops[position] = replace(ops[position], plan=_endless(child, chance))
        return replace(plan, ops=tuple(ops))
    return _endless(plan, chance)


def _endless(plan: BodyPlan, chance: Chance) -> BodyPlan:
    return replace(plan, ops=(*plan.ops[: chance.below(len(plan.ops) + 1)], Op(ENDLESS)))


def has_endless(plan: BodyPlan) -> bool:
    """Say whether a plan has a body that may go on for ever."""
    return any(op.kind == ENDLESS or (op.plan is not None and has_endless(op.plan)) for op in plan.ops)


def harmed(
    rows: Mapping[RunUid, Sequence[Row]], entries: Sequence[LedgerEntry], endless: Mapping[RunUid, bool]
) -> Iterator[str]:
    """Yield bodies that failed, or lost an Attempt, for what another one did.

    Args:
        endless: of each Run that is known, whether its plan has a body that may go on for ever.
    """
    bodies = {(entry.uid, entry.step) for entry in entries if entry.function.kind is not Kind.FUNCTION}
    for uid, told in rows.items():
        for record in (record for row in told for record in row.records):
            if isinstance(record, AttemptFailed) and (uid, record.step) in bodies:
                if record.failure.message.endswith("killed by us"):
                    yield f"{record.step} of {uid[:8]} lost an Attempt, for its Sandbox was ended for another body"
            elif isinstance(record, Settled) and not endless.get(uid, True):
                for outcome in record.outcomes:
                    failure = outcome.outcome
                    if isinstance(failure, Failure) and "body_timeout_s" in failure.message:
                        yield f"{outcome.step} of {uid[:8]} failed as one that goes on for ever, and it does not"
