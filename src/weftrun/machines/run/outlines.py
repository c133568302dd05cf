"""Outlines: the graph of a `def` body is told as a whole, before its Steps are sent, so that homes can be planned."""

from __future__ import annotations

from weftrun.machines.run.state import OVER, Body, RunState, Step
from weftrun.model.commands import Outline, Outlined
from weftrun.model.policy import Kind


def outline(run: RunState, body: Body) -> None:
    """Tell of the Steps of a body that have not settled; a single one needs no plan."""
    open_steps = [step for step in body.calls.values() if step.state < OVER]
    if len(open_steps) > 1:
        function = run.root.function
        told = tuple(_outlined(body, step) for step in open_steps)
        run.commands.append(Outline((function.name, function.label), told))


def _outlined(body: Body, step: Step) -> Outlined:
    numbers = [ref.call for ref in step.args.refs]
    numbers += step.after
    for chunk in step.map.chunks if step.map is not None else ():
        numbers += [ref.call for ref in chunk.items.refs]
    producers = (body.calls[number] for number in dict.fromkeys(numbers))
    takes = tuple(producer.index for producer in producers if producer.state < OVER)
    is_single = step.map is None and step.function.kind is Kind.FUNCTION
    return Outlined(step.index, step.id, step.function.label, takes, is_single)
