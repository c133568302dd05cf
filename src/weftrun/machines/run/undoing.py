"""Letting bodies undo what they have done when their Run is cancelled, or when their time is up.

What undoes a Step only its body knows (`sdk.saga`). So a body is told, by an outcome that is none, in the place of the
next one; what it calls then are Steps like all others. That it is to undo is a record with how far it had come, so a
replay tells it at the same place. Bodies inside of it are told first.
"""

from __future__ import annotations

from weftrun.machines.run.closure import add_record
from weftrun.machines.run.lives import bodies_around
from weftrun.machines.run.settle import cancel_inside, finish, settle, tell_abandoned
from weftrun.machines.run.state import OVER, Body, Lack, RunState, State, Step
from weftrun.model.commands import Deliver, LeaveBody
from weftrun.model.events import BodyReturned, CancelCame
from weftrun.model.ids import StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Reason
from weftrun.model.policy import Kind
from weftrun.model.records import CancelAsked, Undoing, Undone

_MAY_HAVE_BEGUN = (State.GATED, State.RUNNING, State.UNDOING, State.BACKING_OFF)


def cancelled(run: RunState, event: CancelCame) -> None:
    """Cancel the Run: at once where nothing is to be undone, else when its bodies have undone what they could.

    While they do so, only a cancel with `force` changes anything: it stops them.
    """
    if event.message in run.messages:
        return
    run.messages.add(event.message)
    is_undoing = bool(run.recorded.undoing.keys() - run.recorded.undone)
    if event.force or run.unfit is not None or not (is_undoing or _pending(run)):
        add_record(run, CancelAsked(event.message))
        _end(run)
    elif not is_undoing and not run.cancel:
        run.cancel = event.message  # begun when all consequences are drawn


def _end(run: RunState) -> None:
    run.cancel = ""
    failure = Failure(Reason.CANCELLED, "RunCancelled", "the Run was cancelled", origin=run.root.id)
    finish(run, "cancelled", failure)


def _pending(run: RunState) -> set[StepId]:
    """Return the bodies that have done what can be undone, and have neither settled nor undone it; with those around.

    A `def` body is over before anything of it runs: it undoes nothing, nor do those inside it.
    """
    recorded, root = run.recorded, run.root
    known = {step.id: step for step in run.steps if step.function.kind.is_workflow}
    found: set[StepId] = set()
    for id in recorded.undoable - recorded.undone:
        path = {root.id, id, *bodies_around(id)}
        steps = [known[step] for step in path if step in known]
        watches = all(step.function.kind is Kind.WATCHING for step in steps)
        if watches and not any(step.state >= OVER for step in steps) and not path & recorded.outcomes.keys():
            found |= path
    return found - recorded.undone


def begin_to_undo(run: RunState) -> bool:
    """Begin a cancel that was asked for, once every body that has to undo something waits; say whether it began."""
    pending = _pending(run)
    waits = [body for body in _bodies(run) if body.step.id in pending and body.entered and body.awaits]
    if pending and (len(waits) < len(pending) or run.held):
        return False
    add_record(run, CancelAsked(run.cancel))
    if not pending:  # they were quicker
        _end(run)
        return True
    run.cancel = ""
    for body in waits:
        _is_to_undo(run, body, body.observed, body.made, None)
    _drop(run, run.root, pending)
    tell_abandoned(run)
    run.deliverable.extend(waits)
    return True


def _is_to_undo(run: RunState, body: Body, observed: int, made: int, failure: Failure | None) -> None:
    undoing = Undoing(body.step.id, observed, made, failure)
    run.recorded.undoing[body.step.id] = undoing
    add_record(run, undoing)
    run.undoing_row = run.row


def _bodies(run: RunState) -> list[Body]:
    return [step.body for step in run.steps if step.body is not None and step.state < OVER]


def _drop(run: RunState, step: Step, pending: set[StepId]) -> None:
    """Cancel what is open inside a body, but bodies that are to undo something, and what may have to be undone."""
    body = step.body
    for inner in list(body.calls.values()) if body is not None else ():
        if inner.state >= OVER or (inner.undoable and inner.state in _MAY_HAVE_BEGUN):
            continue
        if inner.id in pending:
            _drop(run, inner, pending)
        else:
            _drop_one(run, inner)


def _drop_one(run: RunState, step: Step) -> None:
    """Settle a call as cancelled: whoever undoes what the body has done may ask for it."""
    if step.body is not None:
        cancel_inside(run, step.body)
        if step.body.entered:
            step.body.entered = False
            run.commands.append(LeaveBody(step.index, step.attempt))
    elif step.state in (State.RUNNING, State.UNDOING):
        run.revoked.append(step.index)
    failure = Failure(Reason.CANCELLED, "RunCancelled", "its Run was cancelled", origin=step.id)
    settle(run, step, failure, NOT_RUN, cause="cancelled")


def drop_new(run: RunState, body: Body, step: Step) -> None:
    """Let a call go nowhere that a body repeats which is to undo what it has done, unless that has to be undone."""
    undoing = run.recorded.undoing.get(body.step.id)
    if undoing is None or body.told or step.state >= OVER or step.undoable:
        return
    if step.id in run.recorded.undoing:
        return
    if step in run.ready:
        run.ready.remove(step)
    _drop_one(run, step)


def may_be_shown(run: RunState, body: Body, settled: list[Step]) -> list[Step]:
    """Return which of the settled outcomes a body may be shown; where it is to undo what it has done, tell it so."""
    undoing = run.recorded.undoing.get(body.step.id)
    if undoing is None or body.told:
        return settled
    shown = [step for step in settled if step.lack is Lack.NOTHING and 0 < step.ordinal <= undoing.observed]
    if shown:
        return shown
    inside = [id for id in run.recorded.undoing.keys() - run.recorded.undone if id != body.step.id]
    if any(body.step is run.root or id.startswith(f"{body.step.id}/") for id in inside):
        return []  # what is inside of it was done later: that is undone first
    body.told = True
    body.awaits = ()
    body.observed_row = max(body.observed_row, run.undoing_row)  # nothing is undone before that it is, is durable
    why = undoing.failure or Failure(Reason.CANCELLED, "RunCancelled", "the Run was cancelled", origin=body.step.id)
    run.commands.append(Deliver(body.step.index, body.step.attempt, -1, None, why, body.since))
    return []


def has_undone(run: RunState, body: Body) -> None:
    """A body that was told to undo what it has done has come to its end."""
    step = body.step
    undoing = run.recorded.undoing[step.id]
    run.recorded.undone.add(step.id)
    add_record(run, Undone(step.id))
    if undoing.failure is not None:
        run.pending_failures.append((body, undoing.failure))
    elif step.inside is None:
        _end(run)
    else:
        _drop_one(run, step)
        run.deliverable.extend(left for left in _bodies(run) if left.entered and left.awaits)


def is_undone_first(run: RunState, body: Body, event: BodyReturned) -> bool:
    """Say whether a body whose time was up is entered again, to undo what it had done before that turn."""
    failure, id = event.failure, body.step.id
    if failure is None or failure.reason is not Reason.TIMEOUT or failure.origin not in ("", id):
        return False
    if body.before is None or id not in run.recorded.undoable or run.recorded.undoing or run.cancel:
        return False
    observed, made = body.before
    if any(number >= made for number in body.calls):
        return False  # it has called more in that turn, which a replay would not call again
    _is_to_undo(run, body, observed, made, failure)
    _drop(run, body.step, set())
    return True
