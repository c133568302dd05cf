"""Scripted Functions that can be undone when their Run is cancelled, and the oracle of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from weftrun.model.ids import RunUid, StepId
from weftrun.model.outcomes import Success
from weftrun.model.records import Ended, Row, Settled, Started
from weftrun.sdk.function import Function, function, workflow
from weftrun.testing.sim.scripted import draw, quiet
from weftrun.testing.sim.values import Value, weave

_NAME = "weftrun.testing.sim.compensating:"


@function(name=_NAME + "unbook")
def unbook(*inputs: object) -> Value:
    """Undoes a booking."""
    return weave(*inputs)


@function(name=_NAME + "book", compensate=unbook)
def book(*inputs: object) -> Value:
    """Does something outside that can be undone."""
    return weave(*inputs)


@workflow(name=_NAME + "tour")
async def tour(x: int) -> Any:
    """Books twice, one after the other, and goes on for a while."""
    first = await book.step(x)
    shown = draw(first)
    second = await book.step(await quiet.step(first))
    return draw(await quiet.step(second), shown)


@workflow(name=_NAME + "holiday")
async def holiday(x: int) -> Any:
    """Books, and then lets another workflow book."""
    first = await book.step(x)
    return draw(await tour.step(2), first)


FUNCTIONS: tuple[Function[..., Any], ...] = (unbook, book, tour, holiday)


def left_booked(rows_by_run: Mapping[RunUid, Sequence[Row]]) -> Iterator[str]:
    """Yield cancelled Runs of which not all that was booked was undone, and others of which something was."""
    for uid, rows in rows_by_run.items():
        started, last = rows[0].records[0], rows[-1].records[-1]
        if not isinstance(started, Started) or started.function.name not in (tour.spec.name, holiday.spec.name):
            continue
        booked: list[StepId] = []
        undone: list[StepId] = []
        whole: list[StepId] = []
        for done in (o for row in rows for r in row.records if isinstance(r, Settled) for o in r.outcomes):
            if done.call is not None and isinstance(done.outcome, Success):
                by_function = {book.spec.name: booked, unbook.spec.name: undone, tour.spec.name: whole}
                by_function.get(done.call.function, []).append(done.step)
        # What a workflow had booked that succeeded as a whole is not undone one by one.
        booked = [step for step in booked if not any(step.startswith(f"{child}/") for child in whole)]
        status = last.status if isinstance(last, Ended) else ""
        if status == "cancelled" and len(undone) != len(booked):
            yield f"{uid[:8]}: {len(booked)} were booked, and {len(undone)} undone, when it was cancelled"
        if status == "succeeded" and undone:
            yield f"{uid[:8]}: {len(undone)} bookings were undone, and it succeeded"
