"""Undoing an abandoned Attempt before the next one (R1): its beginning is on record, so that a crash forgets none."""

from __future__ import annotations

import heapq

import msgspec

from weftrun.machines.retry import retry_delay_s
from weftrun.machines.run.closure import add_record, rest_on_rows
from weftrun.machines.run.settle import finish, settle
from weftrun.machines.run.state import Rollback, RunState, State, Step
from weftrun.machines.run.transitions import move
from weftrun.machines.run.trees import tree_of
from weftrun.model.commands import Invoke
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Failure, Outcome, Reason
from weftrun.model.records import AttemptStarted, RollbackFailed
from weftrun.model.values import Object


def is_begun(run: RunState, step: Step) -> bool:
    """Say whether a Step with a rollback may be entered now; if not, do what must come first.

    First what an abandoned Attempt has done is undone, then the record that the next one begins is durable. That it
    was abandoned is durable before its rollback is entered, as with anything that is visible (G-a).
    """
    undoing = run.rollbacks.setdefault(step.index, Rollback())
    if undoing.times > run.limits.takeovers_max:
        _park(run, step, undoing)
        return False
    if not undoing.pending and undoing.begun != step.attempt:
        rest_on_rows(run, step)
        watched = step.call is not None
        add_record(run, AttemptStarted(step.id, step.attempt, step.args if watched else None, step.call))
        undoing.begun = step.attempt
        undoing.args = None
        step.gate = max(step.gate, run.row)
    if step.gate > run.committed:
        move(step, State.GATED)
        run.hold_at_gate(step.gate, step)
        return False
    if undoing.pending:
        _undo(run, step, undoing)
        return False
    return True


def abandon(run: RunState, step: Step) -> None:
    """An Attempt has failed, and another will follow: what it has done is to be undone first."""
    undoing = run.rollbacks.get(step.index)
    if undoing is not None:
        undoing.pending = True


def recall_begun(run: RunState, step: Step) -> None:
    """Take from the Journal that an Attempt of a Step was begun: whatever became of it, it was abandoned."""
    if step.id not in run.recorded.begun:
        return
    begun, times = run.recorded.begun[step.id]
    failed = run.recorded.undone_in_vain.get(step.id)
    undoing = run.rollbacks[step.index] = Rollback()
    undoing.pending = True
    undoing.begun = begun.attempt
    undoing.args = begun.args
    undoing.times = times
    undoing.tried = failed.tried if failed is not None else 0


def _undo(run: RunState, step: Step, undoing: Rollback) -> None:
    function = step.function.rollback
    assert function is not None
    args = tree_of(undoing.args or step.args, step.inside)
    move(step, State.UNDOING)
    invocation = Invocation(0, step.index, step.id, undoing.tried + 1, args, undoing.begun)
    run.commands.append(Invoke(function, (invocation,)))


def undone(run: RunState, step: Step, ended: Outcome) -> None:
    """Take the outcome of a rollback; one that was not asked for, or was told before, is passed by."""
    undoing = run.rollbacks.get(step.index)
    if undoing is None or step.state is not State.UNDOING:
        return
    if (ended.undoes, ended.attempt) != (undoing.begun, undoing.tried + 1):
        return
    if type(ended.value) is Object:
        run.released.append(ended.value.oid)  # nobody reads what a rollback returns
    if ended.failure is not None:
        _failed(run, step, undoing, ended, ended.failure)
        return
    undoing.pending = False
    undoing.tried = undoing.begun = undoing.times = 0
    move(step, State.WAITING)
    run.ready.append(step)


def _failed(run: RunState, step: Step, undoing: Rollback, ended: Outcome, failure: Failure) -> None:
    function = step.function.rollback
    assert function is not None
    failure = msgspec.structs.replace(failure, origin=step.id, attempt=ended.attempt)
    delay_s = retry_delay_s(function, failure, step.id, ended.attempt, run.limits)
    if delay_s is None:
        text = (
            f"the rollback {function.label} of {step.id} failed after Attempt {undoing.begun}, with {failure.type}: "
            f"{failure.message}; what that Attempt did may stand"
        )
        final = Failure(Reason.RAISED, "RollbackFailed", text, failure.traceback, step.id, step.attempt, step.attempt)
        settle(run, step, final, ended.ran)
        return
    due_at = run.now + delay_s
    rest_on_rows(run, step)
    add_record(run, RollbackFailed(step.id, undoing.begun, ended.attempt, failure, due_at, ended.ran))
    undoing.tried = ended.attempt
    move(step, State.BACKING_OFF)
    step.gate = max(step.gate, run.row)
    heapq.heappush(run.due, (due_at, step.index, -1))


def _park(run: RunState, step: Step, undoing: Rollback) -> None:
    """End a Run of which one Attempt ends every engine: each time it left a record, but none of an end."""
    text = (
        f"Attempt {undoing.begun} of {step.id} was begun {undoing.times} times, and its engine ended each time before "
        "it did; something in it ends its engine"
    )
    finish(run, "failed", Failure(Reason.LOST, "RunParked", text, origin=step.id, attempt=undoing.begun))
