"""How a join settles that needs only some of what it takes, and what becomes of candidates that came too late."""

from __future__ import annotations

from weftrun.machines.run.closure import observe
from weftrun.machines.run.joins import is_wanted, taken_by
from weftrun.machines.run.settle import settle
from weftrun.machines.run.state import OVER, RunState, State, Step
from weftrun.model.outcomes import NOT_RUN, Failure, Reason, Success
from weftrun.model.policy import Kind


def settle_join(run: RunState, join: Step) -> None:
    """Settle a join with what has arrived, and let go of the candidates that nobody waits for any more."""
    body = join.inside
    assert body is not None, "a join is called by a body"
    value = taken_by(run, join)
    for ref in value.refs:
        observe(run, body.calls[ref.call])
        body.calls[ref.call].uses += 1
    settle(run, join, Success(value), NOT_RUN, cause="first")
    drop_late(run, join)


def drop_decided(run: RunState) -> None:
    """Let go of what was asked for only by joins that are over."""
    decided, run.decided = run.decided, []
    for join in decided:
        drop_late(run, join)


def drop_late(run: RunState, join: Step) -> None:
    """Cancel what only a settled join had waited for, and what only that had; not what does something outside.

    A Step with effects, and a workflow, which may have some inside, goes on to its end: half of it would be worse.
    """
    body = join.inside
    assert body is not None, "a join is called by a body"
    if body.step.state >= OVER:
        return
    stack = [join]
    while stack:
        step = stack.pop()
        payloads = [step.args, *(chunk.items for chunk in (step.map.chunks if step.map is not None else ()))]
        taken = dict.fromkeys([*(ref.call for payload in payloads for ref in payload.refs), *step.after])
        for producer in (body.calls[number] for number in taken):
            if producer.state >= OVER or producer.number not in body.left_to_joins or is_wanted(producer):
                continue
            if producer.function.kind is Kind.OUTPUT:
                stack.append(producer)  # it settles with the Step that puts it
            elif _may_be_dropped(producer):
                stack.append(producer)
                _drop(run, producer, join)


def _may_be_dropped(step: Step) -> bool:
    function = step.function
    is_quiet = function.kind is Kind.FUNCTION and function.effects == "none" and function.rollback is None
    return is_quiet or function.kind is Kind.FIRST


def _drop(run: RunState, step: Step, join: Step) -> None:
    if step.state is State.RUNNING:
        run.revoked.append(step.index)
    run.arrived.pop(step.index, None)
    failure = Failure(Reason.CANCELLED, "RunCancelled", f"{join.id} waits for it no more", origin=step.id)
    settle(run, step, failure, NOT_RUN, cause="cancelled")
