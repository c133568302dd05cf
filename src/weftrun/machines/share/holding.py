"""Holding records, and whether they are written on their own account (C3)."""

from __future__ import annotations

from weftrun.machines.checkpoint import When, choice
from weftrun.machines.share.state import At, PartState
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Success
from weftrun.model.policy import Kind
from weftrun.model.records import AttemptFailed, Shown
from weftrun.model.share import Abandon, Held


def put(part: PartState, held: Held) -> None:
    """Hold a record from now on. A Step that has an outcome is not run any more, though nobody may read it yet."""
    step, ordinal = held.name
    part.held[held.name] = held
    if ordinal == 0:
        part.order.setdefault(held.name, len(part.order))
        here = part.here.pop(step, None)
        part.inside.pop(step, None)
        if here is not None and here.at is At.RUNNING:
            part.commands.append(Abandon(((step, here.attempt),)))
    elif ordinal < 0 and (here := part.here.get(step)) is not None and here.at is not At.RUNNING:
        here.attempt, here.due = next_attempt(part, step)


def next_attempt(part: PartState, step: StepId) -> tuple[int, float]:
    """Return the number of a Step's next Attempt and when it is due, as far as failed ones are known."""
    attempt, due = 1, 0.0
    while (held := part.held.get((step, -attempt))) is not None and isinstance(held.record, AttemptFailed):
        attempt, due = attempt + 1, held.record.due_at
    return attempt, due


def keep(part: PartState, held: Held) -> None:
    """Have a record written if this is its Step's home, and its policy does not leave it to what rests on it."""
    if held.name in part.fixed or isinstance(held.record, Shown) or not part.is_home(held.name[0]):
        return
    if is_written(part, held):
        part.wanted.add(held.name)


def is_written(part: PartState, held: Held) -> bool:
    """Say whether a record is written though nothing rests on it: a success is by its policy, all else always."""
    outcome = held.outcome
    if outcome is None or not isinstance(outcome.outcome, Success):
        return True
    node = part.nodes.get(outcome.step)  # unknown where another Worker's home it was: written, to be sure
    if node is None or node.function.kind is not Kind.FUNCTION:
        return True
    return choice(node.function, (outcome.outcome.value.data,), outcome.ran).when < When.LATER
