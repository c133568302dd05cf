"""What a Run will want done when rows are durable that are being committed: it may be made ready beside the commit.

Told is only what follows for certain: one Invocation that nothing but these rows holds back. All else waits for them.
"""

from __future__ import annotations

from weftrun.machines.run.state import OVER, RunState, State, Step
from weftrun.machines.run.trees import tree_of
from weftrun.model.commands import Invoke
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Success
from weftrun.model.policy import Kind


def comes_next(run: RunState, seq: int) -> Invoke | None:
    """Return the Invocation that is asked for when all rows up to `seq` are durable; None for none, or for more."""
    if run.ending is not None or run.unfit is not None or run.has_lacked or run.cancel or run.armable or run.hopeful:
        return None
    step: Step | None = None
    for row, entries in run.gated.items():
        if row <= seq:
            if step is not None or len(entries) > 1 or entries[0][1] is not None:
                return None
            step = entries[0][0]
    for row, held in run.held.items():
        if row <= seq:
            if step is not None or len(held) > 1:
                return None
            step = _reader_of(held[0])
            if step is None:
                return None
    if step is None or not _may_go(run, step, seq):
        return None
    invocation = Invocation(0, step.index, step.id, step.attempt, tree_of(step.args, step.inside))
    return Invoke(step.function, (invocation,))


def _reader_of(held: Step) -> Step | None:
    """Return the one Step that waits for a `sync` value and for nothing else, where nobody else is told of it."""
    body = held.inside
    if body is None or body.step.state >= OVER or held.number in body.awaits or type(held.outcome) is not Success:
        return None
    if held.readers is None or len(held.readers) != 1 or body.waiting_start is not None:
        return None
    reader, chunk = held.readers[0]
    return reader if chunk is None and reader.waiting == 1 and reader.state is State.WAITING else None


def _may_go(run: RunState, step: Step, seq: int) -> bool:
    function = step.function
    return (
        function.kind is Kind.FUNCTION
        and step.map is None
        and function.rollback is None
        and function.effects != "transaction"
        and (function.effects == "none" or step.gate <= seq)
        and not (run.recorded.failed or run.recorded.undone_in_vain)
    )
