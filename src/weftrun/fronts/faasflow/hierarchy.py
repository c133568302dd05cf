"""FaaSFlow's hierarchical format (v1): states of the types pass, parallel, switch, foreach and function, in each other.

It becomes the same plan as a flat file. What a state is told to hand on under another name (`inputMappings`,
`outputMappings`) is known from the file, so a name is looked up here, once: functions fetch what it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from weftrun.fronts.faasflow import conditions
from weftrun.fronts.faasflow.data import EACH
from weftrun.fronts.faasflow.graph import Graph
from weftrun.fronts.faasflow.joins import needs_of, with_needs
from weftrun.fronts.faasflow.plan import INPUT, InputEntry, Made, Missing, Node, Plan, PlannedCall
from weftrun.fronts.faasflow.policies import policy_of
from weftrun.fronts.faasflow.reading import Document, Table, name_of
from weftrun.fronts.faasflow.sources import DECLARED, fetched, find_file, puts
from weftrun.fronts.faasflow.templates import check_functions

_TYPES: Final = ("pass", "parallel", "switch", "foreach", "function")
_ALL: Final = ("name", "type", "inputMappings", "outputMappings")
_OWN: Final = {
    "pass": ("steps",),
    "parallel": ("branches",),
    "switch": ("choices",),
    "foreach": ("task",),
    "function": ("source", "output", "runtime", "scale", "mem_usage", "split_ratio", "weftrun"),
}
_SOURCE: Final = re.compile(r"(LOCAL|INPUT)(\[\*\])?\.([^\s.\[\]]+)(\[\*\])?")

Scope = dict[str, str]
"""Names that are known in a state besides those of data, and for which datum each stands."""


def read_hierarchy(document: Document, top: Table, missing: Missing) -> Plan:
    """Make a plan of a file in the hierarchical format.

    Raises:
        UsageError: something in it is unknown, contradictory or missing; all such places are named by their lines.
    """
    flattening = Flattening(document, name_of(document.file), missing)
    scope: Scope = {}
    flattening.state(top, [], scope)
    document.check()
    results = {name: ("", datum) for name, datum in scope.items()} if "outputMappings" in top else {}
    nodes, inputs = flattening.finished(results)
    document.check()
    check_functions(document, flattening.sources)
    return Plan(flattening.workflow, str(document.file), nodes, inputs, results)


class Flattening:
    """Makes a flat graph of states.

    Attributes:
        nodes: by name, in the order of the file.
        sources: the functions that they run.
    """

    def __init__(self, document: Document, workflow: str, missing: Missing) -> None:
        """Begin with no node."""
        self.document = document
        self.workflow = workflow
        self.nodes: dict[str, Node] = {}
        self.sources: dict[str, None] = {}
        self._missing = missing
        self._names: dict[str, int] = {}
        self._outside: dict[str, int] = {}
        self._lines: dict[str, int] = {}

    def state(self, table: Table, before: list[str], scope: Scope) -> list[str]:
        """Add a state behind the nodes `before`; return those behind which what follows stands."""
        kind, name = self._begin(table)
        if not kind:
            return before
        if kind == "function":
            ends = self._function(table, name, before, self._inner(table, scope))
            scope.update(self._mapped(table, "outputMappings", scope))
            return ends
        inner = self._inner(table, scope)
        if kind == "pass":
            ends = before
            for step in self._children(table, "steps", "a step"):
                ends = self.state(step, ends, inner)
        elif kind == "parallel":
            start = before if len(before) <= 1 else [self._control(name, table, before)]
            branches = self._children(table, "branches", "a branch")
            ends = list(dict.fromkeys(end for branch in branches for end in self.state(branch, start, inner)))
        elif kind == "switch":
            ends = self._switch(table, name, before, inner)
        else:
            ends = self._foreach(table, name, before, inner)
        scope.update(self._mapped(table, "outputMappings", inner))
        return ends

    def _begin(self, table: Table) -> tuple[str, str]:
        name = table.text("name")
        table.what = f"the state {name!r}" if name else "a state"
        table.need("name")
        if not table.need("type"):
            return "", ""
        kind = table.text("type", _TYPES)
        if not kind:
            return "", ""
        table.only((*_ALL, *_OWN[kind]))
        if name and (not name.isprintable() or set("[]/") & set(name)):
            table.problem("name", f"{name!r} can't be the name of a Step: it has a sign that is none of a name's.")
        if name in self._names:
            table.problem("name", f"two states are called {name!r}; the other is in line {self._names[name]}.")
        self._names.setdefault(name, table.line("name"))
        return kind, name

    def _children(self, table: Table, key: str, what: str) -> list[Table]:
        return table.tables(key, what) if table.need(key) else []

    def _inner(self, table: Table, scope: Scope) -> Scope:
        return {**scope, **self._mapped(table, "inputMappings", scope)}

    def _mapped(self, table: Table, key: str, scope: Scope) -> Scope:
        """Return what mappings make known, by name, and the datum that each stands for."""
        return {target: datum for target, datum, _ in self._mappings(table, key, scope)}

    def _mappings(self, table: Table, key: str, scope: Scope) -> list[tuple[str, str, bool]]:
        """Return mappings: the name, the datum, and whether it is one of a list for each call."""
        found = []
        for own in table.tables(key, f"`{key}` of {table.text('name')!r}"):
            own.only(("target", "source"))
            if not (own.need("target") & own.need("source")):
                continue
            match = _SOURCE.fullmatch(own.text("source").strip())
            if match is None:
                own.problem("source", f"{own.what}: {own.text('source')!r} is not LOCAL.name, INPUT.name, "
                            "LOCAL.name[*] or LOCAL[*].name.")  # fmt: skip
                continue
            root, collects, name, each = match.groups()
            if root == INPUT:
                self._outside.setdefault(name, 0)
            datum = name if root == INPUT else scope.get(name, name)
            found.append((own.text("target"), f"{datum}{EACH}" if collects else datum, bool(each)))
        return found

    def _function(
        self, table: Table, name: str, before: list[str], scope: Scope, keys: Iterable[str] = ()
    ) -> list[str]:  # fmt: skip
        source = table.text("source") or name
        self.sources[source] = None
        taken = {
            target: InputEntry("key" if datum in keys else "pass", "", datum, 0)
            for target, datum in self._mapped(table, "inputMappings", scope).items()
        }
        made = {output: Made("pass", 0) for output, _ in table.texts("output")}
        call = PlannedCall(
            self.workflow, name, "function", find_file(table, source), table.number("runtime"), taken, made,
            foreach=tuple(keys), missing=self._missing, aliases=dict(scope),
        )  # fmt: skip
        node = Node(
            call,
            tuple(before),
            policy=policy_of(table),
            scale=table.whole("scale"),
            mem_usage=table.number("mem_usage"),
            split_ratio=max(1, table.whole("split_ratio", 1)),
            needs=needs_of(table),
        )
        return [self._add(node, table)]

    def _add(self, node: Node, table: Table) -> str:
        self.nodes[node.name] = node
        self._lines[node.name] = table.begins
        return node.name

    def _control(self, name: str, table: Table, before: list[str]) -> str:
        """Add a node that runs no code."""
        call = PlannedCall(self.workflow, name, "end", missing=self._missing)
        return self._add(Node(call, tuple(before)), table)

    def _switch(self, table: Table, name: str, before: list[str], scope: Scope) -> list[str]:
        call = PlannedCall(self.workflow, name, "switch", missing=self._missing, aliases=dict(scope))
        self._add(Node(call, tuple(before)), table)
        told: list[str] = []
        targets: list[str] = []
        ends: list[str] = []
        for choice in self._children(table, "choices", f"a choice of {name!r}"):
            choice.only(("condition", "go"))
            if not (choice.need("condition") & choice.need("go")):
                continue
            condition = choice.condition("condition")
            try:
                conditions.names(condition)
            except ValueError as error:
                choice.problem("condition", f"{table.what}: {error}.")
            go = choice.table("go", f"`go` of {name!r}")
            first = self._control(f"{name}-{len(told)}", go, [name]) if go.text("type") != "function" else name
            told.append(condition)
            targets.append(go.text("name") if first == name else first)
            ends += self.state(go, [first], scope)
        if not any(conditions.is_default(condition) for condition in told):
            told.append("default")
            targets.append(self._control(f"{name}-else", table, [name]))
            ends.append(targets[-1])
        call = replace(call, conditions=tuple(told), targets=tuple(targets))
        self.nodes[name] = replace(self.nodes[name], call=call)
        return list(dict.fromkeys(ends))

    def _foreach(self, table: Table, name: str, before: list[str], scope: Scope) -> list[str]:
        keys = [datum for _, datum, is_each in self._mappings(table, "inputMappings", scope) if is_each]
        if not keys:
            table.problem("inputMappings", f"{table.what} runs for each item of a list, and none of its inputs is one: "
                          "write LOCAL.name[*] as the source of one.")  # fmt: skip
        if not table.need("task"):
            return before
        task = table.table("task", f"the task of {name!r}")
        if task.text("type") == "function":
            self._begin(task)
            inner = self._inner(task, scope)
            ends = self._function(task, task.text("name"), before, inner, dict.fromkeys(keys))
            node = self.nodes[ends[0]]
            own = {target: InputEntry("key" if datum in keys else "pass", "", datum, 0)
                   for target, datum, _ in self._mappings(table, "inputMappings", scope)}  # fmt: skip
            self.nodes[ends[0]] = replace(node, call=replace(node.call, input={**own, **node.call.input}))
            scope.update(self._mapped(task, "outputMappings", inner))
            return ends
        part = Flattening(self.document, self.workflow, self._missing)
        part._names, part._outside, part.sources = self._names, self._outside, self.sources  # one file's
        part.state(task, [], scope)
        call = PlannedCall(
            self.workflow, name, "function", foreach=tuple(dict.fromkeys(keys)), missing=self._missing,
            aliases=dict(scope), task=tuple(part.nodes.values()),
        )  # fmt: skip
        return [self._add(Node(call, tuple(before)), table)]

    def finished(self, results: dict[str, tuple[str, str]]) -> tuple[tuple[Node, ...], dict[str, int]]:
        """Return the nodes in order, each with what it may fetch, and what the Run must be given from outside."""
        graph = Graph(self.document, list(self.nodes))
        for name, node in self.nodes.items():
            for each in node.before:
                graph.connect(each, name)
        order = graph.order(lambda name: self._lines[name])
        put = {name: _put(node.call) for name, node in self.nodes.items()}
        known = {key for keys, _ in put.values() for key in keys}
        is_known = all(complete for _, complete in put.values())
        for name in order:
            ancestors = graph.ancestors(name)
            wanted = _wanted(self.nodes[name].call)
            node = self.nodes[name]
            if is_known and wanted is not None:
                self._outside.update({key: 0 for key in wanted - known if key not in self._outside})
            lists = [each for each in ancestors if not put[each][1] or set(node.call.foreach) & put[each][0]]
            reads = [each for each in ancestors if wanted is None or not put[each][1] or wanted & put[each][0]]
            self.nodes[name] = replace(
                node, reads=tuple(reads), lists=tuple(lists) if node.call.foreach else (), reads_input=True
            )
        if is_known:
            for _, datum in results.values():
                if datum.removesuffix(EACH) not in known:
                    self._outside.setdefault(datum, 0)
        nodes = with_needs(self.document, [self.nodes[name] for name in order], self._lines.__getitem__)
        return tuple(nodes), self._outside


def _put(call: PlannedCall) -> tuple[set[str], bool]:
    """Return the keys under which a node puts data, and whether there are no others."""
    if call.task:
        found = [_put(node.call) for node in call.task]
        return {key for keys, _ in found for key in keys}, all(complete for _, complete in found)
    if call.kind != "function":
        return set(), True
    keys, complete = puts(call.file)
    return keys | set(call.output), complete


def _wanted(call: PlannedCall) -> set[str] | None:
    """Return the data that a node can ask for; None where that is not known before it runs."""
    if call.task:
        inside = [_wanted(node.call) for node in call.task]
        made = _put(call)[0]
        known = [wanted for wanted in inside if wanted is not None]
        return (
            {*call.foreach, *(each for wanted in known for each in wanted - made)}
            if len(known) == len(inside)
            else None
        )
    if call.kind == "switch":
        names = {name for text in call.conditions for name in conditions.all_names(text)}
        return {call.aliases.get(name, name).removesuffix(EACH) for name in names}
    if call.kind == "end":
        return set()
    asked = fetched(call.file)
    if asked is None:
        return None
    declared = {taken.parameter for taken in call.input.values()} if DECLARED in asked else set()
    other = {
        call.input[key].parameter if key in call.input else call.aliases.get(key, key) for key in asked - {DECLARED}
    }
    return {name.removesuffix(EACH) for name in declared | other}
