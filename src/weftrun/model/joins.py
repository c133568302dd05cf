"""Joins that need only some of the calls that they take (`Kind.FIRST`), as the graph of a `def` body tells of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from weftrun.model.graph import Call
from weftrun.model.policy import FIRST, FunctionSpec, Kind
from weftrun.model.values import Payload


def needed(join: FunctionSpec) -> int:
    """Return how many of its candidates a join needs."""
    return int(join.name.removeprefix(FIRST))


def left_to_joins(
    functions: Sequence[FunctionSpec],
    calls: Sequence[Call],
    items: Mapping[int, Sequence[Payload]],
    answer: Collection[int],
) -> frozenset[int]:
    """Return the calls of a `def` body whose values only joins ask for, at whatever distance.

    Their failures fail what takes them, and are counted by the joins; they don't fail the body.

    Args:
        functions: the body's table.
        items: of each map, by the number of its call.
        answer: calls that stand in what the body returned.
    """
    joins = {number for number, call in enumerate(calls) if functions[call.function].kind is Kind.FIRST}
    if not joins:
        return frozenset()
    readers: dict[int, set[int]] = {}
    for number, call in enumerate(calls):
        for taken in {
            *call.after,
            *(ref.call for payload in (call.args, *items.get(number, ())) for ref in payload.refs),
        }:
            readers.setdefault(taken, set()).add(number)
    found: set[int] = set()
    for number in reversed(range(len(calls))):  # a call takes values of earlier ones only
        of = readers.get(number, set())
        is_unread_output = not of and functions[calls[number].function].kind is Kind.OUTPUT
        if number not in answer and (is_unread_output or (of and of <= joins | found)):
            found.add(number)
    return frozenset(found)
