"""What a workflow's file says, in a form that a Run's arguments can hold: all that a Sandbox needs to run it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Kind = Literal["function", "switch", "end", "synthetic"]
Missing = Literal["error", "marker"]

INPUT = "INPUT"
"""The name under which a file speaks of what the Run is given from outside."""


class InputEntry(Struct, frozen=True):
    """One entry of a function's `input`.

    Attributes:
        type: `pass` and `normal` are a value, `key` is one of the list that drives a foreach.
        function: who makes it, `INPUT` for what comes from outside.
        parameter: the name under which it was put.
        size: in bytes, as the file expects it.
    """

    type: str
    function: str
    parameter: str
    size: int


class Made(Struct, frozen=True):
    """One entry of a function's `output`; `keys` is a list that drives a foreach."""

    type: str
    size: int


class PlannedCall(Struct, frozen=True):
    """All that one function is called with, besides data.

    Attributes:
        file: absolute path of its Python file; empty for a control node, which runs no code, and for a synthetic one.
        runtime: how long it is expected to run, in seconds; synthetic functions take that long.
        foreach: names of its inputs that are one item of a list each, by the parameters that hold the lists.
        conditions: of a switch, in order; `targets` are the nodes behind them.
        missing: what a fetch of data that nobody has put gives: an error, or the marker that FaaSFlow returns.
        aliases: further names of data, by what they stand for.
        task: what each call of a foreach runs, where that is more than one function: the nodes in order, one after
            the other in one Step.
        cpu_s: of a synthetic one, how long it computes, in seconds of processor time.
    """

    workflow: str
    name: str
    kind: Kind = "function"
    file: str = ""
    runtime: float = 0.0
    input: dict[str, InputEntry] = {}
    output: dict[str, Made] = {}
    foreach: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    missing: Missing = "error"
    aliases: dict[str, str] = {}
    task: tuple[Node, ...] = ()
    cpu_s: float = 0.0


class Node(Struct, frozen=True):
    """One node of the graph, behind all that it depends on.

    Attributes:
        before: the nodes with an edge to it.
        reads: the nodes whose data it is handed, in the order in which they were made: of two that put one key, the
            later one counts.
        lists: the nodes that put the lists which drive it, where it is a foreach.
        reads_input: whether it is handed what the Run was given from outside.
        policy: of the Step, as `Function.options` takes it.
        scale: containers that it is expected to need at once.
        mem_usage: share of a container's memory that it uses.
        split_ratio: how many items its foreach is expected to have.
        needs: how many of `before` must have succeeded before it starts; 0 for all.
    """

    call: PlannedCall
    before: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    reads_input: bool = False
    policy: dict[str, str | int | float | bool] = {}
    scale: int = 0
    mem_usage: float = 0.0
    split_ratio: int = 1
    needs: int = 0

    @property
    def name(self) -> str:
        """Its name in the file."""
        return self.call.name


def readable(nodes: Sequence[Node]) -> dict[str, set[str]]:
    """Return of each node whose data it may read: of those that have ended when it starts, which are in order."""
    found: dict[str, set[str]] = {}
    handed_on: dict[str, set[str]] = {}
    for node in nodes:
        ways = [handed_on[each] for each in node.before]
        sure = set.intersection(*ways) if node.needs and ways else set[str]().union(*ways)
        found[node.name] = sure | set(node.before)
        handed_on[node.name] = sure | {node.name}
    return found


class Plan(Struct, frozen=True):
    """A workflow as its file says it.

    Attributes:
        nodes: in an order in which each stands behind what it depends on.
        inputs: names of what the Run must be given from outside, with the size in bytes that the file expects.
        results: names that the Run answers with, by the function and the parameter that they are, no function where
            any may have put it; without any it answers with what its last functions have put.
        optional: of the inputs, those that need not be given, since a function puts them.
    """

    name: str
    file: str
    nodes: tuple[Node, ...]
    inputs: dict[str, int] = {}
    results: dict[str, tuple[str, str]] = {}
    optional: tuple[str, ...] = ()

    @property
    def last(self) -> tuple[str, ...]:
        """The nodes that nothing stands behind."""
        followed = {name for node in self.nodes for name in node.before}
        return tuple(node.name for node in self.nodes if node.name not in followed)

    @property
    def sure(self) -> tuple[str, ...]:
        """The nodes that have ended when the last ones have: all but those that a join did without."""
        if not any(node.needs for node in self.nodes):
            return tuple(node.name for node in self.nodes)
        found = readable([*self.nodes, Node(PlannedCall(self.name, ""), before=self.last)])[""]
        return tuple(node.name for node in self.nodes if node.name in found)
