"""The Functions and Workflows that run a plan; what a Sandbox imports.

One Function runs every file; each node's Step has the node's name, by the label of the Function that is called. A node
is called with what the nodes before it have put, which is also how it knows that they have ended: so a Step needs no
order but that of its values, and can be armed at its Worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from msgspec.structs import replace

from weftrun.fronts.faasflow.conditions import holds
from weftrun.fronts.faasflow.data import NodeOutputs, find, flattened
from weftrun.fronts.faasflow.execution import execute
from weftrun.fronts.faasflow.outline import expectations
from weftrun.fronts.faasflow.plan import INPUT, Node, Plan, PlannedCall
from weftrun.fronts.faasflow.results import Answer, results
from weftrun.fronts.faasflow.store import MARKER, MissingData
from weftrun.fronts.faasflow.synthetic import synthesize
from weftrun.sdk.first import first
from weftrun.sdk.function import Function, function, workflow

Given = list[NodeOutputs | list[NodeOutputs]]


@function(name="weftrun.faasflow:call", effects="none")
def call_function(call: PlannedCall, before: Given, given: Given) -> NodeOutputs:
    """Run one node: the code of its file, unless the switches before it have chosen others.

    Args:
        call: the node.
        before: of the nodes with an edge to it, in the order of `Node.before`.
        given: what it may fetch, the later before the earlier.
    """
    if not is_live(call.name, before):
        return NodeOutputs(is_dead=True)
    data = flattened(given)
    if call.kind == "switch":
        return NodeOutputs(chosen=_chosen(call, data, {}))
    if call.kind == "end":
        return NodeOutputs()
    return synthesize(call, data) if call.kind == "synthetic" else execute(call, data, {})


@function(name="weftrun.faasflow:call_item", effects="none")
def call_item(item: dict[str, Any], call: PlannedCall, given: Given) -> NodeOutputs:
    """Run one item of a foreach: `item` has its values, by the parameters that hold the lists."""
    return _run_task(call, flattened(given), item) if call.task else execute(call, flattened(given), item)


def _run_task(call: PlannedCall, given: list[NodeOutputs], item: dict[str, Any]) -> NodeOutputs:
    """Run the nodes of a task one after the other, and return all that they have put."""
    data = list(given)
    made: dict[str, Any] = {}
    put = NodeOutputs()
    for node in call.task:
        inner, name = node.call, node.name
        if not is_live(name, [made[each] for each in node.before]):
            made[name] = NodeOutputs(is_dead=True)
        elif inner.kind == "switch":
            made[name] = NodeOutputs(chosen=_chosen(inner, data, item))
        elif inner.kind == "end":
            made[name] = NodeOutputs()
        elif inner.foreach:
            made[name] = [
                _run_task(inner, data, {**item, **row}) if inner.task else execute(inner, data, {**item, **row})
                for row in rows_of(inner, data, item)
            ]
        else:
            made[name] = execute(inner, data, item)
        for one in flattened([made[name]]):
            data.append(one)
            put.add(one)
    return put


@function(name="weftrun.faasflow:results", deterministic=True, effects="none")
def answer(plan_results: dict[str, tuple[str, str]], names: list[str], given: Given) -> dict[str, Answer]:
    """Return what a Run answers with; see `Plan.results`."""
    return results(plan_results, dict(zip(names, given, strict=True)))


@workflow(name="weftrun.faasflow:run")
def run(plan: Plan, inputs: dict[str, Any]) -> Any:
    """Wire a plan without a foreach. `inputs` are what the Run is given from outside, by name."""
    wiring = Wiring(plan, inputs)
    for node in plan.nodes:
        wiring.call(node)
    return wiring.answer()


@workflow(name="weftrun.faasflow:run-foreach")
async def run_foreach(plan: Plan, inputs: dict[str, Any]) -> Any:
    """Wire a plan, and each foreach as soon as its lists are there; what stands behind none of them at once."""
    wiring = Wiring(plan, inputs)
    behind: set[str] = set()
    for node in plan.nodes:
        if node.call.foreach or behind.intersection(node.before):
            behind.add(node.name)
        else:
            wiring.call(node)
    for node in plan.nodes:
        if node.name in behind and not node.call.foreach:
            wiring.call(node)
        elif node.name in behind:
            awaited = [(name, wiring.made[name]) for name in dict.fromkeys((*node.before, *node.lists))]
            values = {name: await ref for name, ref in awaited}
            wiring.map(node, [values[name] for name in node.before], [values[name] for name in node.lists])
    return wiring.answer()


class Wiring:
    """The graph of one Run, as far as it is wired.

    Attributes:
        made: by node, the Ref of what it puts.
    """

    def __init__(self, plan: Plan, inputs: dict[str, Any]) -> None:
        """Begin with what the Run is given from outside."""
        self._plan = plan
        self._outside = NodeOutputs()
        for name, value in inputs.items():
            kind = "application/octet-stream" if isinstance(value, bytes) else "application/json"
            self._outside.put(name, value, kind)
        self.made: dict[str, Any] = {}

    def call(self, node: Node) -> None:
        """Call a node once."""
        function = labelled(call_function, node.name).options(**cast("Any", node.policy))
        before = [self.made[name] for name in node.before]
        if not node.needs:
            self.made[node.name] = function(node.call, before, self._given(node))
            return
        some: Any = first(*before, k=node.needs)
        self.made[node.name] = function(node.call, some, [*self._given(node), some])

    def map(self, node: Node, before: Given, lists: Given) -> None:
        """Call a node once for each item of the lists that drive it, all of one length.

        Raises:
            ValueError: the lists are of different lengths.
            MissingData: nobody has put one of them.
        """
        if not is_live(node.name, before):
            self.call(node)
            return
        outside = [self._outside] if node.reads_input else []
        rows = rows_of(node.call, [*outside, *flattened(lists)], {})
        function = labelled(call_item, node.name).options(**cast("Any", node.policy))
        self.made[node.name] = cast("Any", function).map(rows, call=node.call, given=self._given(node))

    def answer(self) -> Any:
        """Return the Ref of what the Run answers with."""
        wanted = self._plan.results
        names = sorted({name for name, _ in wanted.values()}) or list(self._plan.last)
        if "" in names:
            names = list(self._plan.sure)
            return answer(wanted, [INPUT, *names], [self._outside, *(self.made[name] for name in names)])
        return answer(wanted, names, [self.made[name] for name in names])

    def _given(self, node: Node) -> list[Any]:
        outside = [self._outside] if node.reads_input else []
        some = node.before if node.needs else ()
        return [*outside, *(self.made[name] for name in node.reads if name not in some)]


def labelled(function: Function[..., Any], label: str) -> Function[..., Any]:
    """Return a Function whose Steps have another name."""
    spec = replace(function.spec, label=label)
    return Function(function.handler, spec, home=function.home, origin=function.origin, holds=(function,))


def is_live(name: str, before: Given) -> bool:
    """Say whether a node runs: one of those before it leads to it, or there are none."""
    ways = [[each] if isinstance(each, NodeOutputs) else each for each in before]
    return not ways or any(not outputs or any(one.runs(name) for one in outputs) for outputs in ways)


def rows_of(call: PlannedCall, data: list[NodeOutputs], item: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what each call of a foreach is called with: the items of its lists side by side, all of one length.

    Raises:
        ValueError: the lists are of different lengths.
        MissingData: nobody has put one of them.
    """
    columns = {
        parameter: item[parameter] if isinstance(item.get(parameter), list) else _list(call, data, parameter)
        for parameter in call.foreach
    }
    lengths = {parameter: len(items) for parameter, items in columns.items()}
    if len(set(lengths.values())) > 1:
        told = " and ".join(f"{parameter} has {length}" for parameter, length in lengths.items())
        raise ValueError(f"{call.name} runs for the items of several lists side by side, and {told}.")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _list(call: PlannedCall, data: list[NodeOutputs], parameter: str) -> list[Any]:
    try:
        found = find(data, parameter)
    except KeyError:
        raise MissingData(
            f"{call.name} runs for each item of {parameter!r}, and nothing before it has put that."
        ) from None
    if not isinstance(found, list):
        raise MissingData(f"{call.name} runs for each item of {parameter!r}, which is a {type(found).__name__}.")
    return found


def _chosen(call: PlannedCall, data: list[NodeOutputs], item: Mapping[str, Any]) -> str:
    """Return the node behind the first condition that holds; nothing where none does."""

    def look(alias: str) -> Any:
        name = call.aliases.get(alias, alias)
        if name in item:
            return item[name]
        try:
            return find(data, name)
        except KeyError:
            if call.missing == "marker":
                return MARKER
            raise MissingData(
                f"{call.name}: a condition looks at {name!r}, and nothing before it has put that."
            ) from None

    for condition, target in zip(call.conditions, call.targets, strict=True):
        if holds(condition, look):
            return target
    return ""


def start(plan: Plan, inputs: Mapping[str, Any]) -> tuple[Function[..., Any], tuple[Any, ...]]:
    """Return the Workflow that runs a plan, under its name, and what it is to be called with."""
    body = run_foreach if any(node.call.foreach for node in plan.nodes) else run
    found = labelled(body, plan.name)
    found.expected = expectations(plan)
    return found, (plan, dict(inputs))
