"""FaaSFlow's flat format (v1): `functions` in a list, with `input`, `output` and `next` each."""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from weftrun.fronts.faasflow import conditions
from weftrun.fronts.faasflow.graph import Graph
from weftrun.fronts.faasflow.joins import needs_of, with_needs
from weftrun.fronts.faasflow.plan import INPUT, InputEntry, Kind, Made, Missing, Node, Plan, PlannedCall
from weftrun.fronts.faasflow.policies import policy_of
from weftrun.fronts.faasflow.reading import Document, Table, name_of
from weftrun.fronts.faasflow.sources import DECLARED, fetched, find_file, puts
from weftrun.fronts.faasflow.templates import check_functions

_TOP: Final = ("global_input", "functions", "fuctions", "global_output", "name")
_FUNCTION: Final = (
    "name", "source", "runtime", "scale", "mem_usage", "split_ratio", "input", "output", "next", "weftrun",
)  # fmt: skip
_WAYS: Final = ("pass", "parallel", "foreach", "switch")


class FlatFunction(Struct):
    """One function of the file, as it is read.

    Attributes:
        nodes: behind it, with the lines in which they stand.
    """

    table: Table
    node: Node
    source: str = ""
    way: str = "pass"
    nodes: list[tuple[str, int]] = []


def read_flat(document: Document, top: Table, missing: Missing) -> Plan:
    """Make a plan of a file in the flat format.

    Raises:
        UsageError: something in it is unknown, contradictory or missing; all such places are named by their lines.
    """
    top.only(_TOP)
    name = top.text("name") or name_of(document.file)
    inputs = {key: _size(top.table("global_input").table(key)) for key in top.table("global_input")}
    functions: dict[str, FlatFunction] = {}
    key = "fuctions" if "fuctions" in top else "functions"
    if key == "fuctions" and "functions" in top:
        top.problem(key, "the file has both `functions` and `fuctions`, as FaaSFlow's flattener writes it: keep one.")
    if top.need(key):
        for table in top.tables(key, "a function"):
            _add(functions, _function(table, name, missing))
    document.check()
    graph = _graph(document, functions)
    order = graph.order(lambda name: functions[name].table.line("next"))
    document.check()
    nodes = []
    for each in order:
        functions[each].node = _finished(functions[each], functions, graph, inputs)
        nodes.append(functions[each].node)
    nodes = with_needs(document, nodes, lambda name: functions[name].table.line("weftrun"))
    results = _results(top.table("global_output"), functions)
    document.check()
    check_functions(document, {each.source for each in functions.values() if each.node.call.kind == "function"})
    optional = tuple(_optional(nodes, functions, graph, inputs))
    return Plan(name, str(document.file), tuple(nodes), inputs, results, optional)


def _size(table: Table) -> int:
    table.only(("type", "value", "size"))
    return table.whole("size")


def _add(functions: dict[str, FlatFunction], function: FlatFunction) -> None:
    other = functions.setdefault(function.node.name, function)
    if other is not function:
        where = other.table.line("name")
        function.table.problem(
            "name", f"two functions are called {function.node.name!r}; the other is in line {where}."
        )


def _function(table: Table, workflow: str, missing: Missing) -> FlatFunction:
    name = table.text("name")
    if name and (not name.isprintable() or set("[]/") & set(name)):
        table.problem("name", f"{name!r} can't be the name of a Step: it has a sign that is none of a name's.")
    table.what = f"the function {name!r}" if name else table.what
    table.only(_FUNCTION)
    table.need("name")
    source = table.text("source") or name
    is_virtual = source == "VIRTUAL" or name.startswith("virtual")
    kind: Kind = "end" if is_virtual or source == "END" or name == "END" else "function"
    taken = {key: _taken(table.table("input").table(key, f"input {key!r} of {name!r}")) for key in table.table("input")}
    made = {
        key: _made(table.table("output").table(key, f"output {key!r} of {name!r}")) for key in table.table("output")
    }
    call = PlannedCall(workflow, name, kind, "", table.number("runtime"), taken, made, missing=missing)
    node = Node(
        call,
        policy=policy_of(table),
        scale=table.whole("scale"),
        mem_usage=table.number("mem_usage"),
        split_ratio=max(1, table.whole("split_ratio", 1)),
        needs=needs_of(table),
    )
    function = FlatFunction(table, node, source)
    _read_next(function, is_virtual=is_virtual)
    return function


def _taken(table: Table) -> InputEntry:
    table.only(("type", "value", "size"))
    table.need("value")
    value = table.table("value", f"the value of {table.what}")
    value.only(("function", "parameter"))
    if "value" in table:
        value.need("parameter")
    kind = table.text("type", ("pass", "normal", "key")) or "pass"
    return InputEntry(kind, value.text("function"), value.text("parameter"), table.whole("size"))


def _made(table: Table) -> Made:
    table.only(("type", "size"))
    return Made(table.text("type", ("pass", "normal", "keys")) or "pass", table.whole("size"))


def _read_next(function: FlatFunction, *, is_virtual: bool) -> None:
    table = function.table.table("next", f"`next` of {function.node.name!r}")
    table.only(("type", "nodes", "conditions"))
    function.way = table.text("type", _WAYS) or "pass"
    function.nodes = table.texts("nodes")
    told = table.texts("conditions")
    if function.way != "switch":
        if told:
            table.problem("conditions", f"{table.what} has conditions and is no switch: it is {function.way!r}.")
        return
    if not is_virtual:
        table.problem(
            "type", f"{table.what} is a switch, which only a control node can be: one whose name begins with `virtual`."
        )
    if len(told) != len(function.nodes):
        table.problem("conditions", f"{table.what} has {len(told)} conditions for {len(function.nodes)} nodes.")
    for text, line in told:
        try:
            conditions.names(text)
        except ValueError as error:
            table.document.problem(line, f"{table.what}: {error}.")
    call = replace(
        function.node.call,
        kind="switch",
        conditions=tuple(text for text, _ in told),
        targets=tuple(name for name, _ in function.nodes),
    )
    function.node = replace(function.node, call=call)


def _graph(document: Document, functions: dict[str, FlatFunction]) -> Graph:
    graph = Graph(document, list(functions))
    for name, function in functions.items():
        for target, line in function.nodes:
            if target in functions:
                graph.connect(name, target)
            else:
                document.problem(line, f"`next` of {name!r} leads to {target!r}, and no function is called that.")
    return graph


def _finished(function: FlatFunction, functions: dict[str, FlatFunction], graph: Graph, inputs: dict[str, int]) -> Node:
    """Return a node with its place in the graph: what it reads, what drives it, where its code is."""
    node, name = function.node, function.node.name
    ancestors = graph.ancestors(name)
    makers = {
        key: [each for each in ancestors if key in functions[each].node.call.output]
        for each in ancestors
        for key in functions[each].node.call.output
    }
    _check_inputs(function, functions, ancestors, makers, inputs)
    call = node.call
    lists: list[str] = []
    if any(functions[each].way == "foreach" for each in graph.before(name)):
        keys = _lists(function, functions, makers)
        lists = [each for key in keys for each in makers[key]]
        call = replace(call, foreach=tuple(keys))
    if call.kind == "function":
        call = replace(call, file=find_file(function.table, function.source))
    wanted = _wanted(call, makers, inputs)
    reads = [each for each in ancestors if wanted is None or wanted & _puts(functions[each])]
    return replace(
        node,
        call=call,
        before=tuple(graph.before(name)),
        reads=tuple(reads),
        lists=tuple(dict.fromkeys(lists)),
        reads_input=bool(inputs) and (wanted is None or bool(wanted & set(inputs))),
    )


def _puts(function: FlatFunction) -> set[str]:
    """Return the keys that a function puts, as far as the file declares them or its code has them written out."""
    call = function.node.call
    return {*call.output, *(puts(call.file)[0] if call.file else ())}


def _optional(nodes: list[Node], functions: dict[str, FlatFunction], graph: Graph, inputs: dict[str, int]) -> list[str]:
    """Return the inputs that need not be given, since a function puts them before anybody asks for them.

    FaaSFlow has one namespace for a request, and does not look who is said to have made what is fetched from it.
    """
    put = {node.name: _puts(functions[node.name]) for node in nodes}
    asked: set[str] = set()
    for node in nodes:
        known = {key for each in graph.ancestors(node.name) for key in put[each]}
        declared = {taken.parameter for taken in node.call.input.values()}
        wanted = _wanted(node.call, {key: [] for key in known}, inputs)
        asked |= ({*declared} if wanted is None else wanted) - known
    anywhere = {key for keys in put.values() for key in keys}
    return [key for key in inputs if key in anywhere and key not in asked]


def _wanted(call: PlannedCall, makers: dict[str, list[str]], inputs: dict[str, int]) -> set[str] | None:
    """Return the names of the data that a node can ask for; None where that is not known before it runs."""
    if call.kind == "switch":
        return {name for text in call.conditions for name in conditions.names(text)}
    if call.kind == "end":
        return set()
    asked = fetched(call.file)
    if asked is None:
        return None
    declared = {taken.parameter for taken in call.input.values()}
    other = {call.input[key].parameter if key in call.input else key for key in asked - {DECLARED}}
    if not other <= {*declared, *makers, *inputs}:
        return None
    return declared | other if DECLARED in asked else other


def _check_inputs(
    function: FlatFunction,
    functions: dict[str, FlatFunction],
    ancestors: list[str],
    makers: dict[str, list[str]],
    inputs: dict[str, int],
) -> None:
    """Refuse data of functions that are not there, or come later; note what comes from outside."""
    table, name = function.table, function.node.name
    for key, taken in function.node.call.input.items():
        entry = table.table("input")
        if taken.function == INPUT or (not taken.function and taken.parameter not in makers):
            inputs.setdefault(taken.parameter, taken.size)
        elif taken.function and taken.function not in functions:
            entry.problem(key, f"input {key!r} of {name!r} is made by {taken.function!r}, which no function is called.")
        elif taken.function and taken.function not in ancestors:
            entry.problem(
                key, f"input {key!r} of {name!r} is made by {taken.function!r}, which does not run before it."
            )
        elif taken.parameter not in makers:
            table.document.warn(
                entry.line(key),
                f"input {key!r} of {name!r} is {taken.parameter!r}, which no function before it has among its outputs.",
            )
    for text, line in table.table("next").texts("conditions"):
        for datum in conditions.names(text):
            if datum in makers or datum in inputs:
                continue
            if f"{INPUT}.{datum}" in text:
                inputs.setdefault(datum, 0)
            elif not any(datum in _puts(functions[each]) for each in ancestors):
                table.document.problem(
                    line, f"the condition {text!r} of {name!r} names {datum!r}, which nothing before it puts."
                )


def _lists(function: FlatFunction, functions: dict[str, FlatFunction], makers: dict[str, list[str]]) -> list[str]:
    """Return the parameters that hold the lists which drive a foreach."""
    table, name = function.table, function.node.name
    if function.node.call.kind != "function":
        table.problem("name", f"{name!r} stands behind a foreach, and a control node can't run for each item.")
        return []
    keys = {key: taken.parameter for key, taken in function.node.call.input.items() if taken.type == "key"}
    if not keys:
        table.problem("name", f"{name!r} is to run for each item of a list, and has no input of type `key`.")
    entry = table.table("input")
    for key, parameter in keys.items():
        if not any(functions[each].node.call.output[parameter].type == "keys" for each in makers.get(parameter, ())):
            entry.problem(
                key,
                f"{name!r} is to run for each item of {parameter!r}, and no function before it has an output "
                f"{parameter!r} of type `keys`.",
            )
    return [parameter for parameter in dict.fromkeys(keys.values()) if parameter in makers]


def _results(table: Table, functions: dict[str, FlatFunction]) -> dict[str, tuple[str, str]]:
    found = {}
    for key in table:
        taken = _taken(table.table(key, f"global_output {key!r}"))
        if taken.function in functions:
            found[key] = (taken.function, taken.parameter)
        else:
            table.problem(key, f"global_output {key!r} is made by {taken.function!r}, which no function is called.")
    return found
