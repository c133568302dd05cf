"""The life of a Step as a table, the one function that changes its state, and a check of a Run at rest.

Each state that a Step may be in names those that may follow. `validate` says what else must hold between two events; it
walks the whole Run, so tests and the simulator call it, and engines don't.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from weftrun.machines.run.joins import is_lost
from weftrun.machines.run.state import OVER, Body, RunState, State, Step
from weftrun.model.errors import InternalError
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Kind

_SETTLED: Final = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED})

AFTER: Final[Mapping[State, frozenset[State]]] = {
    # What is on record is settled, or ends, at once. An argument that failed fails its reader.
    State.WAITING: _SETTLED
    | {State.GATED, State.RUNNING, State.BACKING_OFF, State.ENDING, State.UNDOING, State.AWAITING},
    # Nothing that it takes can fail any more; the root fails where its Run is cancelled.
    State.GATED: frozenset({State.WAITING, State.FAILED, State.CANCELLED}),
    # A body whose Sandbox was lost is entered again. What ran ahead of its arguments is taken back.
    State.RUNNING: _SETTLED | {State.RUNNING, State.BACKING_OFF, State.ENDING, State.WAITING},
    State.BACKING_OFF: frozenset({State.WAITING, State.FAILED, State.CANCELLED}),
    State.ENDING: _SETTLED,
    # What was undone begins its next Attempt; a rollback that failed is tried again, or fails the Step for good.
    State.UNDOING: frozenset({State.WAITING, State.BACKING_OFF, State.FAILED, State.CANCELLED}),
    State.AWAITING: _SETTLED,
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""Which states may follow each one."""


def move(step: Step, to: State) -> None:
    """Change the state of a Step.

    Raises:
        InternalError: the table does not have this transition.
    """
    if to not in AFTER[step.state]:
        raise InternalError(f"{step.id} was {step.state.name} and can't become {to.name}")
    step.state = to


def validate(run: RunState) -> None:
    """Check that a Run between two events hangs together.

    Raises:
        InternalError: it does not, with what is wrong of which Step.
    """
    for wrong in _wrong(run):
        raise InternalError(wrong)


def _wrong(run: RunState) -> Iterator[str]:
    if run.ending is not None or run.unfit is not None:
        return  # nothing more is done, so nothing more need fit
    for name in (
        "decided",
        "hopeful",
        "ready",
        "ready_chunks",
        "deliverable",
        "pending_failures",
        "failed_dependents",
        "completions",
    ):
        if getattr(run, name):
            yield f"something is left in `{name}` of {run.root.id}, which only the next event would find"
    for row in run.gated:
        if row <= run.committed:
            yield f"something waits for row {row} of {run.root.id}, which is durable"
    gated = {step for waiting in run.gated.values() for step, chunk in waiting if chunk is None}
    due = {index for _, index, item in run.due if item < 0}
    held = {step for steps in run.held.values() for step in steps}
    for step in run.steps:
        if step.inside is not None and (
            step.inside.step.state >= OVER or step.inside.calls.get(step.number) is not step
        ):
            continue  # its body has settled, so nothing is done for it, or the Attempt that called it was forgotten
        lacks = _lacks(run, step, gated, due)
        if lacks:
            yield f"{step.id} is {step.state.name}, and {lacks}"
        if step.body is not None and step.state < OVER:
            yield from _wrong_inside(run, step.body, held)


def _lacks(run: RunState, step: Step, gated: set[Step], due: set[int]) -> str:
    """Return what a Step of its state must have and this one has not; nothing where all is there."""
    body = step.body
    match step.state:
        case State.WAITING if step.waiting == 0 and not _is_kept_back(step):
            return "nothing is left that it could wait for"
        case State.WAITING if step.function.kind is Kind.FIRST and is_lost(run, step):
            return "too few of what it takes can still come"
        case State.GATED if step not in gated:
            return "no row opens its gate"
        case State.BACKING_OFF if step.index not in due:
            return "its next Attempt has no due time"
        case State.AWAITING if step.index not in due and not _is_listened_for(run, step):
            return "nothing would end its wait"
        case State.RUNNING if body is not None and not body.entered:
            return "its body is in no Sandbox"
        case State.ENDING if body is None or body.answer is None or body.open == 0:
            return "none of its body's calls is open"
        case State.UNDOING if step.index not in run.rollbacks or not run.rollbacks[step.index].pending:
            return "nothing of it is to be undone"
        case State.SUCCEEDED | State.FAILED if (step.state is State.FAILED) != isinstance(step.outcome, Failure):
            return "its outcome says another thing"
    return ""


def _is_listened_for(run: RunState, step: Step) -> bool:
    return any(step in steps for steps in run.listening.values())


def _is_kept_back(step: Step) -> bool:
    """Say whether a Step may only start when the `def` body that called it has ended (B1)."""
    body = step.inside
    return body is not None and body.step.function.kind is Kind.WIRING and body.waiting_start is not None


def _wrong_inside(run: RunState, body: Body, held: set[Step]) -> Iterator[str]:
    """A body counts its open calls; a `sync` call whose record is not durable may count as open (G-b)."""
    still = sum(call.state < OVER for call in body.calls.values())
    shown_later = sum(call in held for call in body.calls.values())
    if not still <= body.open <= still + shown_later:
        yield f"{body.step.id} counts {body.open} open calls of {run.root.id}, and has {still}"
