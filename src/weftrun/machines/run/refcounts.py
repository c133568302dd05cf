"""Who may still read a value: what nobody will read is released."""

from __future__ import annotations

from weftrun.machines.run.joins import body_of_refs
from weftrun.machines.run.state import OVER, Body, MapChunk, RunState, Step
from weftrun.model.outcomes import Success
from weftrun.model.values import Object, Payload


def release_arguments(run: RunState, step: Step) -> None:
    """A settled Step reads its arguments no more.

    The graph of a `def` body has them until it is on record; a Step is settled before that only in a fork.
    """
    if step.inside is not None and step.inside.waiting_start is not None:
        return
    args = step.args
    if type(args.data) is Object:
        run.released.append(args.data.oid)
    if step.map is not None:
        for chunk in step.map.chunks:
            if chunk.done != (1 << chunk.count) - 1:
                release_items(run, step, chunk)
    if args.refs:
        _release_refs(run, args, step.inside)


def release_items(run: RunState, step: Step, chunk: MapChunk) -> None:
    """A chunk of a map's input will be read no more."""
    if type(chunk.items.data) is Object:
        run.released.append(chunk.items.data.oid)
    if chunk.items.refs:
        _release_refs(run, chunk.items, step.inside)


def hand_on(run: RunState, body: Body, answer: Payload) -> None:
    """A body has ended: its answer holds the values of calls from here on, the body itself none."""
    for ref in answer.refs:
        body.calls[ref.call].uses += 1
    for call in body.calls.values():
        call.uses -= 1
        if call.uses == 0 and call.state >= OVER:
            release(run, call)


def release_one(run: RunState, step: Step) -> None:
    """One holder less of a Step's value."""
    step.uses -= 1
    if step.uses == 0 and step.state >= OVER:
        release(run, step)


def _release_refs(run: RunState, payload: Payload, body: Body | None) -> None:
    if body is None:
        return
    for ref in payload.refs:
        producer = body.calls.get(ref.call)
        if producer is not None:
            producer.uses -= 1
            if producer.uses == 0 and producer.state >= OVER:
                release(run, producer)


def release(run: RunState, step: Step) -> None:
    """Nobody will read this Step's value any more: release the Objects behind it."""
    if step.map is not None:
        run.released.extend(part.data.oid for part in step.map.parts if type(part.data) is Object)
        return
    if type(step.outcome) is not Success:
        return
    value = step.outcome.value
    if type(value.data) is Object:
        run.released.append(value.data.oid)
    if value.refs:
        _release_refs(run, value, body_of_refs(step))
