"""Joins that need only some of what they take (`Kind.FIRST`): what has arrived, and whose failure is left to a join.

A join is a node without a body. It succeeds with the values of the first of its candidates to arrive, as many as it
needs, and fails when so many have failed that these can't come any more. Which ones arrived is its outcome: it is as
nondeterministic as any, so it is always recorded, and what is read of it after a crash is what was read before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from weftrun.machines.run.state import OVER, Body, Map, RunState, State, Step
from weftrun.model.graph import Call
from weftrun.model.joins import left_to_joins, needed
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Payload, RefTo


def arrived(run: RunState, join: Step, producer: Step) -> None:
    """A candidate of a join has succeeded; one that comes too late is passed by."""
    if join.waiting:
        join.waiting -= 1
        join.gate = max(join.gate, producer.need)
        run.arrived.setdefault(join.index, []).append(producer.number)


def taken_by(run: RunState, join: Step) -> Payload:
    """Return the value of a join: as its call encodes it, with the Refs of those that arrived, in that order."""
    numbers = run.arrived.pop(join.index, [])
    refs = {ref.call: ref for ref in join.args.refs}
    return Payload(join.args.data, tuple(RefTo(number, refs[number].path) for number in numbers))


def is_lost(run: RunState, join: Step) -> bool:
    """Say whether so many candidates have failed that those that a join needs can't arrive any more.

    Nobody sees the failure of a `sync` one before its record is durable (G-b).
    """
    assert join.inside is not None, "a join is called by a body"
    candidates = [join.inside.calls[ref.call] for ref in join.args.refs]
    lost = (one for one in candidates if one.state in (State.FAILED, State.CANCELLED))
    seen = sum(one.function.checkpoint != "sync" or one.need <= run.committed for one in lost)
    return len(candidates) - seen < needed(join.function)


def body_of_refs(step: Step) -> Body | None:
    """Return the body whose calls the Refs in a Step's value name: the one that made a join, else its own."""
    return step.inside if step.function.kind is Kind.FIRST else step.body


def is_wanted(step: Step) -> bool:
    """Say whether anybody still waits for a Step that has not settled; an output does if somebody waits for that."""
    waiting = [reader for reader, _ in step.readers or () if reader.state < OVER]
    return any(reader.function.kind is not Kind.OUTPUT or is_wanted(reader) for reader in waiting)


def left_to_joins_in(
    functions: Sequence[FunctionSpec], calls: Sequence[Call], maps: Mapping[int, Map | None], answer: Payload
) -> frozenset[int]:
    """Return the calls of a `def` body whose failure does not fail it; see `model.joins`."""
    items = {number: [chunk.items for chunk in map.chunks] for number, map in maps.items() if map is not None}
    return left_to_joins(functions, calls, items, {ref.call for ref in answer.refs})
