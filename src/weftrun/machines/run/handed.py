"""Calls of async bodies that were handed to a Worker and have no record yet: it comes with their outcome only (B2).

What the trace tells of them lets a replay be held against them too: a visible Step that may have happened is not to be
followed by another call in its place without a word.
"""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.run.recorded import Recorded
from weftrun.machines.run.state import Body, RunState, Step
from weftrun.model.events import Handed
from weftrun.model.ids import StepId
from weftrun.model.records import Row


def newly_handed(run: RunState, index: int) -> list[Handed]:
    """Return the calls of async bodies of which the trace is to tell as a Step goes to a Worker.

    They are its own and those that it is inside of. Each is told once, and once more as the first visible Step inside
    it goes.
    """
    step: Step | None = run.steps[index]
    visible = run.steps[index].function.effects == "visible"
    found: list[Handed] = []
    while step is not None:
        if step.call is not None and run.told.get(step.index, visible - 1) < visible:
            run.told[step.index] = visible
            found.append(Handed(step.id, step.call, run.recorded.lives.life, visible, step.map is not None))
        step = step.inside.step if step.inside is not None else None
    return found


def recall_handed(run: RunState, told: Sequence[Handed]) -> None:
    """Take what the trace tells of visible calls; of the latest where a call was handed over several times."""
    run.handed = {(handed.call.body, handed.call.number): handed for handed in told if handed.visible}


def in_flight(run: RunState) -> list[StepId]:
    """Return visible calls that were handed over and have no record: they may have happened."""
    return _without_record(run.recorded, list(run.handed.values()))


def open_visible(rows: Sequence[Row], told: Sequence[Handed]) -> list[StepId]:
    """Return the same of a Run whose rows these are, by what the trace tells."""
    return _without_record(Recorded.of(rows), [handed for handed in told if handed.visible])


def _without_record(recorded: Recorded, told: Sequence[Handed]) -> list[StepId]:
    known = recorded.outcomes.keys() | recorded.items.keys()
    return list(dict.fromkeys(handed.step for handed in told if handed.step not in known))


def handed_before(run: RunState, body: Body, number: int) -> Handed | None:
    """Return what was handed over as this call of a body, where no record tells of it, and the body is bound to it."""
    handed = run.handed.get((body.step.id, number))
    if handed is None or handed.life < body.life or number in run.recorded.numbers.get(body.step.id, ()):
        return None
    return handed


def last_handed(run: RunState, body: Body) -> str:
    """Return the first call that was handed over and that a body, which has ended, has not made again; or nothing."""
    numbers = [number for of, number in run.handed if of == body.step.id and number >= body.made]
    left = [handed for number in sorted(numbers) if (handed := handed_before(run, body, number)) is not None]
    return left[0].step if left else ""
