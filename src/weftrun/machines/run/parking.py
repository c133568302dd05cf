"""Parking a Run whose code does not fit what is on record (L2): it stays open, and goes on with code that fits."""

from __future__ import annotations

from weftrun.machines.run.branching import may_branch
from weftrun.machines.run.closure import add_record
from weftrun.machines.run.handed import in_flight, last_handed
from weftrun.machines.run.settle import cancel_inside
from weftrun.machines.run.state import Body, RunState, State
from weftrun.model.commands import Park
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import Kind
from weftrun.model.records import Abandoned, Unfit

_OF_THE_CODE = (Reason.RAISED, Reason.MISUSE, Reason.UNREADABLE)
"""Why a body may end that goes another way than on record: what was done to it from outside tells nothing of code."""

_OF_NAMES = ("NameError", "UnboundLocalError", "ImportError", "ModuleNotFoundError")
_OF_SHAPES = ("AttributeError", "TypeError")
"""What Python raises where code and what it calls do not fit together; the second kind may tell of values, too."""


def park(run: RunState, failure: Failure, *, recorded: str = "", made: str = "") -> None:
    """Do nothing more of the Run, and record what does not fit: when that is durable, nobody need hold it any more."""
    root = run.root
    if root.body is not None:
        cancel_inside(run, root.body)
        run.abandoned.clear()  # they are entered again, as after a crash
    elif root.state in (State.RUNNING, State.UNDOING):
        run.revoked.append(root.index)
    run.ready.clear()
    run.ready_chunks.clear()
    run.pending_failures.clear()
    run.failed_dependents.clear()
    run.completions.clear()
    run.deliverable.clear()
    run.gated.clear()
    run.due.clear()
    if under_way := in_flight(run):
        add_record(run, Abandoned(tuple(under_way)))  # no other call of a later life may have their names (L1)
    run.unfit = Unfit(run.code, failure, recorded, made)
    add_record(run, run.unfit)
    run.unfit_row = run.row


def parked(run: RunState) -> None:
    """What does not fit is on record: the Run may be suspended."""
    assert run.unfit is not None
    run.commands.append(Park(run.unfit.failure))


def stops_short(run: RunState, body: Body, reason: Reason | None) -> str:
    """Return the first call on record, or handed over, that a body, which has ended, has not made; else nothing.

    In a life that was begun for this code it may: it goes another way from here on.
    """
    lives = run.recorded.lives
    if may_branch(run, body) or (reason is not None and reason not in _OF_THE_CODE):
        return ""
    numbers = run.recorded.numbers.get(body.step.id, {})
    left = [
        number
        for number in numbers
        if number >= body.made and lives.numbered.get((body.step.id, number), 1) >= body.life
    ]
    return numbers[min(left)] if left else last_handed(run, body)


def does_not_fit(run: RunState, body: Body, failure: Failure) -> bool:
    """Say whether an error tells of code that does not fit the Run, rather than of the Run (L2).

    That is a name, a module, an attribute or a parameter that is not there, in an async body of a Run that was taken
    over, while the body was shown nothing yet but what is on record: older code has come further than that.
    """
    if may_branch(run, body) or failure.reason is not Reason.RAISED or not run.recorded.seq:
        return False
    if body.step.function.kind is not Kind.WATCHING or body.observed_row > run.recorded.seq:
        return False
    return failure.type in _OF_NAMES or (run.is_other_code and failure.type in _OF_SHAPES)
