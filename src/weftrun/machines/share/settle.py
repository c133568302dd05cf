"""How a Step whose home is here gets its outcome, and the Run its last record."""

from __future__ import annotations

from weftrun.machines.share.holding import is_written, keep, put
from weftrun.machines.share.state import Here, PartState
from weftrun.machines.share.telling import spread
from weftrun.model.outcomes import Failure, Ran, Reason, Status, Success
from weftrun.model.policy import Kind
from weftrun.model.records import Ended, Settled, StepOutcome
from weftrun.model.share import Held, Node


def settle(part: PartState, node: Node, here: Here, outcome: Success | Failure, ran: Ran, cause: str = "") -> None:
    """Give a Step its outcome, under the epoch of the plan that this part goes by."""
    assert part.plan is not None
    if not node.body:
        _end(part, node, here, outcome, ran)
        return
    record = Settled((StepOutcome(node.id, here.attempt, 0, outcome, ran, node.call, cause),))
    # Of an async body's call nothing but the record of its outcome tells (B2): what rests on it must find that.
    sure = isinstance(outcome, Success) and node.function.deterministic and node.function.kind is Kind.FUNCTION
    sync = node.function.checkpoint == "sync"
    held = Held(
        (node.id, 0), part.plan.epoch, part.me, record, here.rests, sure and node.call is None and not sync, sync
    )
    part.here.pop(node.id, None)
    part.inside.pop(node.id, None)
    put(part, held)
    keep(part, held)
    if part.outcome(node.id) is not None:
        spread(part, node.id)


def _end(part: PartState, node: Node, here: Here, outcome: Success | Failure, ran: Ran) -> None:
    """Have the Run's last record written, with all that has settled and is written anyway.

    It may leave out what policy leaves out, but for what its answer holds (C1).
    """
    assert part.plan is not None
    status: Status = "succeeded"
    failure = outcome if isinstance(outcome, Failure) else None
    answer = outcome.value if isinstance(outcome, Success) else None
    if failure is not None:
        status = "cancelled" if failure.reason is Reason.CANCELLED else "failed"
    rests = [(part.numbers[node.id, ref.call], 0) for ref in answer.refs] if answer is not None else []
    for (body, _), step in part.numbers.items():
        known = part.held.get((step, 0)) if body == node.id else None
        if known is not None and is_written(part, known):
            rests.append(known.name)
    ended = Ended(status, answer, failure, here.attempt, ran)
    held = Held((node.id, 0), part.plan.epoch, part.me, ended, tuple(dict.fromkeys(rests)))
    part.here.pop(node.id, None)
    part.inside.pop(node.id, None)
    put(part, held)
    part.wanted.add(held.name)
