"""Putting values together for a reader: payloads with their holes filled."""

from __future__ import annotations

from weftrun.machines.run.state import Body, Step
from weftrun.model.outcomes import Success
from weftrun.model.values import Payload, Tree


def tree_of(payload: Payload, body: Body | None) -> Tree:
    """Return `payload` with the values of the calls of `body` that its Refs name."""
    if not payload.refs:
        return Tree(payload.data)
    if body is None:
        raise ValueError("a payload with Refs belongs to a body")
    holes = tuple(value_of(body.calls[ref.call], ref.path) for ref in payload.refs)
    return Tree(payload.data, holes)


def value_of(step: Step, path: tuple[int | str, ...] = ()) -> Tree:
    """Return the value of a Step that succeeded, or the part of it that `path` names."""
    if step.map is not None:
        return _items_of(step, path)
    if not isinstance(step.outcome, Success):
        raise ValueError(f"{step.id} has no value")
    tree = tree_of(step.outcome.value, step.body)
    return Tree(tree.data, tree.holes, path=path) if path else tree


def _items_of(step: Step, path: tuple[int | str, ...]) -> Tree:
    """Return a map's list, or one item of it without the rest.

    An index that a list would refuse is left to the reader, whose error names it.
    """
    assert step.map is not None
    parts = step.map.parts
    if path and isinstance(path[0], int):
        index = path[0] if path[0] >= 0 else step.map.total + path[0]
        for part in parts:
            if part.lo <= index < part.hi:
                return Tree(part.data, path=(index - part.lo, *path[1:]))
    return Tree(None, parts=tuple(parts), path=path)
