"""Joins that need only some of the nodes before them: the key `needs` of a function, and what it leaves to read.

Such a node starts when so many of those directly before it have succeeded. It finds what *these* have put, and what has
ended in any case; so do those behind it, but for what was before it. What is not needed may be cancelled half-way.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace

from weftrun.fronts.faasflow.conditions import is_default
from weftrun.fronts.faasflow.plan import Node, readable
from weftrun.fronts.faasflow.reading import Document, Table

_WAYS_MAX = 4_096
"""So many ways through the switches before a join are looked at."""

Line = Callable[[str], int]
"""Returns the line in which a node says what it needs, or where it stands."""


def needs_of(table: Table) -> int:
    """Return how many of the nodes before it a function needs; 0 for all."""
    told = table.table("weftrun", f"`weftrun` of {table.text('name')!r}")
    if "needs" not in told:
        return 0
    found = told.number("needs")
    if found < 1 or found != int(found):
        told.problem("needs", f"{told.what}: 'needs' is {found:g}, and must be a whole number from 1 on.")
        return 0
    return int(found)


def with_needs(document: Document, nodes: Sequence[Node], line: Line) -> list[Node]:
    """Return nodes, which are in order, so that each reads only what has ended when it starts.

    What can't hold is noted as a problem: more is needed than there is before it, a foreach is in the file, or a switch
    may leave out some of the nodes before it and not the others.
    """
    if not any(node.needs for node in nodes):
        return list(nodes)
    by_name = {node.name: node for node in nodes}
    for node in nodes:
        if node.needs and (why := _why_not(node, by_name)):
            document.problem(line(node.name), f"{node.name!r} needs {node.needs} of those before it: {why}.")
    ended = readable(nodes)
    for node in nodes:
        for key, taken in node.call.input.items():
            if taken.function in node.reads and taken.function not in ended[node.name]:
                document.problem(
                    line(node.name),
                    f"input {key!r} of {node.name!r} is made by {taken.function!r}, which may not have ended by then: "
                    "a join before it does not need it.",
                )
    return [replace(node, reads=tuple(each for each in node.reads if each in ended[node.name])) for node in nodes]


def _why_not(node: Node, by_name: Mapping[str, Node]) -> str:
    """Return what keeps a node from waiting for only some of those before it; empty where nothing does."""
    if node.call.kind != "function":
        return "only a function can do so"
    if node.needs > len(node.before):
        return f"there {'is' if len(node.before) == 1 else 'are'} {len(node.before)}"
    mapped = [each.name for each in by_name.values() if each.call.foreach]
    if mapped:
        return f"the file has a foreach, {mapped[0]!r}, which can't be in one with that"
    if not _are_alike(node, by_name):
        return "a switch may leave out some of them, and not the others; let each branch lead to a join of its own"
    return ""


def _are_alike(join: Node, by_name: Mapping[str, Node]) -> bool:
    """Say whether, whatever the switches choose, all nodes before a join lead to it, or none does."""
    behind: dict[str, Node] = {}
    left = list(join.before)
    while left:
        name = left.pop()
        if name not in behind:
            behind[name] = by_name[name]
            left += by_name[name].before
    ordered = [node for node in by_name.values() if node.name in behind]
    switches = {node.name: _choices(node) for node in ordered if node.call.kind == "switch"}
    if math.prod(map(len, switches.values())) > _WAYS_MAX:
        return False
    for way in itertools.product(*switches.values()):
        chosen = dict(zip(switches, way, strict=True))
        live: set[str] = set()
        for node in ordered:
            if not node.before or any(_leads(each, node.name, live, chosen) for each in node.before):
                live.add(node.name)
        if len({_leads(each, join.name, live, chosen) for each in join.before}) > 1:
            return False
    return True


def _choices(switch: Node) -> list[str]:
    """Return what a switch may choose; nothing, where no condition of it always holds."""
    chosen = list(dict.fromkeys(switch.call.targets))
    return chosen if any(map(is_default, switch.call.conditions)) else [*chosen, ""]


def _leads(node: str, to: str, live: set[str], chosen: Mapping[str, str]) -> bool:
    return node in live and chosen.get(node, to) == to
