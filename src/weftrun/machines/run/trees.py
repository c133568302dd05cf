"""Putting values together for a reader: payloads with their holes filled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from operator import attrgetter

from msgspec.structs import replace

from weftrun.machines.run.joins import body_of_refs
from weftrun.machines.run.state import Body, Step
from weftrun.model.outcomes import Success
from weftrun.model.values import Key, Part, Payload, Tree


def tree_of(payload: Payload, body: Body | None) -> Tree:
    """Return `payload` with the values of the calls of `body` that its Refs name."""
    if not payload.refs:
        return Tree(payload.data)
    if body is None:
        raise ValueError("a payload with Refs belongs to a body")
    return Tree(payload.data, tuple([value_of(body.calls[ref.call], ref.path) for ref in payload.refs]))


def value_of(step: Step, path: tuple[Key, ...] = ()) -> Tree:
    """Return the value of a Step that succeeded, or the part of it that `path` names."""
    if step.map is not None:
        return _items_of(step, path)
    if step.early is not None and step.early.value is not None:
        return Tree(step.early.value, path=path)
    if not isinstance(step.outcome, Success):
        raise ValueError(f"{step.id} has no value")
    value = step.outcome.value
    if not value.refs:
        return Tree(value.data, path=path)
    return replace(tree_of(value, body_of_refs(step)), path=path)


def _items_of(step: Step, path: tuple[Key, ...]) -> Tree:
    """Return a map's list, or an item or a slice of it without the rest.

    An index that a list would refuse is left to the reader, whose error names it.
    """
    assert step.map is not None
    parts, total = step.map.parts, step.map.total
    first = path[0] if path else None
    if isinstance(first, int) and -total <= first < total:
        index = first % total
        part = _parts_over(parts, index, index + 1)[0]
        return Tree(part.data, path=(index - part.lo, *path[1:]))
    if isinstance(first, tuple):
        lo, hi = first
        over = _parts_over(parts, lo, hi)
        return Tree(None, parts=over, path=((lo - over[0].lo, hi - over[0].lo), *path[1:]))
    return Tree(None, parts=tuple(parts), path=path)


def _parts_over(parts: Sequence[Part], lo: int, hi: int) -> tuple[Part, ...]:
    """Return the parts that hold the items `[lo, hi)`."""
    begin = bisect_left(parts, lo + 1, key=attrgetter("hi"))
    return tuple(parts[begin : bisect_left(parts, hi, begin, key=attrgetter("lo"))])
