"""Patches: places in an `async` body where new code splits from old, and what a Run has passed of them.

A body that takes the new code makes a call there, whose Step is settled at once. One that had passed the place with the
old code has another call on record under that number. So the record tells which code a Run goes on with, for ever.
"""

from __future__ import annotations

from weftrun.machines.run.branching import recorded_call
from weftrun.machines.run.settle import settle
from weftrun.machines.run.state import Body, RunState, State, Step
from weftrun.model.graph import NO_PAST, BodyPast
from weftrun.model.outcomes import NOT_RUN, Success
from weftrun.model.policy import PATCHES, Kind


def is_patch(step: Step) -> bool:
    """Say whether a call notes that its body takes new code."""
    return step.function.kind is Kind.TIMER and step.function.name.startswith(PATCHES)


def settle_patch(run: RunState, step: Step) -> None:
    """Note that a body takes new code: nothing that it calls from here on may have a record before that has."""
    settle(run, step, Success(step.args), NOT_RUN, cause="patch")


def see_patch(body: Body, step: Step) -> None:
    """The body knows the answer at once, without an await: what it calls next rests on it."""
    if step.state is State.SUCCEEDED:
        body.observed = max(body.observed, step.ordinal)
        body.observed_row = max(body.observed_row, step.row)


def past_of(run: RunState, body: Body) -> BodyPast:
    """Return what a body that is entered must know: which of its calls are known, and which of them are patches."""
    owner, forked = body.step.id, run.recorded.forked
    if body.step.function.kind is not Kind.WATCHING or not (run.recorded.seq or body.calls):
        return NO_PAST
    calls = {number: recorded_call(run, id) for number, id in run.recorded.numbers.get(owner, {}).items()}
    names = {number: call.function if call is not None else "" for number, call in calls.items()}
    names |= {number: step.function.name for number, step in body.calls.items()}
    known = [*names, *(number for of, number in run.handed if of == owner)]
    patches = sorted((n, name.removeprefix(PATCHES)) for n, name in names.items() if name.startswith(PATCHES))
    return BodyPast(forked.seed if forked is not None else "", max(known, default=-1) + 1, tuple(patches))
