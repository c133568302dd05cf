"""A plan as a Python program: each function of its file becomes a Function, and their graph a workflow.

The text is laid out as formatters leave it: what fits stands in one line, all else an item a line.
"""

from __future__ import annotations

import json
import keyword
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, cast

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from weftrun.fronts.faasflow.dataflow import DataPlan
from weftrun.fronts.faasflow.plan import Plan

_WIDTH: Final = 88
_MODULE: Final = "weftrun.fronts.faasflow.converted"


def program_of(plan: Plan | DataPlan, folder: Path) -> str:
    """Return the program that does what a plan does, for a file in a folder."""
    return (BlockProgram if isinstance(plan, DataPlan) else FlowProgram)(plan, folder).text()


class Written(str):
    """Text that stands in a program as it is."""

    __slots__ = ()


class PythonProgram:
    """A program that is being written.

    Args:
        folder: where it is to lie, from which it finds the files of functions.
    """

    def __init__(self, plan: Plan | DataPlan, folder: Path) -> None:
        self._plan: Any = plan
        self._folder = folder
        self._names: dict[str, str] = {}
        self._taken = {"HERE", "Path", "Any", "function", "workflow", "outside", "wiring", "first", *keyword.kwlist}
        self._imported: set[str] = set()

    def text(self) -> str:
        """Return the whole program."""
        workflow = self.name(f"workflow {self._plan.name}", self._plan.name)
        constants, functions, body = self.constants(), self.functions(), self.body(workflow)
        imports = sorted(self._imported, key=lambda name: (name.upper() != name, name[0].islower(), name))
        file = Path(self._plan.file).name
        head = [
            f'"""The workflow {_plain(self._plan.name)}, as {_plain(file)} says it; written by `weftrun convert`."""',
            "",
            "from pathlib import Path",
            "from typing import Any",
            "",
            f"from weftrun import {'first, ' if self.has_some else ''}function, workflow",
            _imports(_MODULE, imports),
            "",
            "HERE = Path(__file__).parent",
        ]
        if "beside" not in self._imported:  # a trace has no files of functions
            head = [line for line in head[:-2] if "Path" not in line]
        return "\n".join([*head, *constants, "", "", *functions, *body, ""])

    @property
    def has_some(self) -> bool:
        """Whether it has a join that needs only some of what it takes."""
        return isinstance(self._plan, Plan) and any(node.needs for node in self._plan.nodes)

    def constants(self) -> list[str]:
        """Return the lines that say what each node is."""
        raise NotImplementedError

    def functions(self) -> list[str]:
        """Return the lines of the Functions, each followed by two empty ones."""
        raise NotImplementedError

    def body(self, workflow: str) -> list[str]:
        """Return the lines of the workflow."""
        raise NotImplementedError

    def name(self, what: str, wanted: str) -> str:
        """Return an identifier for something, always the same and never twice."""
        if what not in self._names:
            word = re.sub(r"\W", "_", wanted)
            word = f"_{word}" if not word or word[0].isdigit() else word
            found, number = word, 1
            while found in self._taken:
                number += 1
                found = f"{word}_{number}"
            self._names[what] = found
            self._taken.add(found)
        return self._names[what]

    def use(self, name: str) -> str:
        """Return a name of the module that programs import, which this one then does."""
        self._imported.add(name)
        self._taken.add(name)
        return name

    def parameters(self) -> str:
        """Return the parameters of the workflow: its inputs, those that need not be given last."""
        plan = self._plan
        given = [name for name in plan.inputs if name not in plan.optional]
        told = [f"{self.name(f'input {name}', name)}: Any" for name in given]
        return ", ".join([*told, *(f"{self.name(f'input {name}', name)}: Any = None" for name in plan.optional)])

    def inputs(self) -> dict[str, Written]:
        """Return the parameters by the names of the inputs."""
        return {name: Written(self.name(f"input {name}", name)) for name in self._plan.inputs}

    def file(self, path: str) -> Any:
        """Return how the program names a file."""
        if not path:
            return ""
        return _Call(self.use("beside"), {}, (Written("HERE"), os.path.relpath(path, self._folder)))

    def written(self, value: Any) -> Any:
        """Return a value with all structures replaced by what makes them; see `laid_out`."""
        if isinstance(value, Struct):
            told = {}
            for field in fields(value):
                found = getattr(value, field.name)
                default = field.default if field.default is not NODEFAULT else field.default_factory
                default = default() if callable(default) else default
                if found != default or field.required:
                    told[field.name] = self.file(found) if field.name == "file" else self.written(found)
            return _Call(self.use(type(value).__name__), told)
        if isinstance(value, dict):
            return {key: self.written(each) for key, each in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(self.written(each) for each in value)
        return value


class FlowProgram(PythonProgram):
    """The program of a plan of FaaSFlow, or of a trace."""

    def constants(self) -> list[str]:
        """Return what each node is."""
        return [
            line
            for node in self._plan.nodes
            for line in ("", *laid_out(f"{self._constant(node)} = ", self.written(node.call)))
        ]

    def functions(self) -> list[str]:
        """Return a Function for each node."""
        lines = []
        for node in self._plan.nodes:
            policy = {"effects": "none", **node.policy}
            name = self.name(f"function {node.name}", node.name)
            lines += laid_out("@", _Call("function", policy))
            given, outputs = self.use("Given"), self.use("NodeOutputs")
            if node.call.foreach:
                lines += _signature(name, f"item: dict[str, Any], given: {given}", outputs)
                lines += [f"    return {self.use('call_item')}(item, {self._constant(node)}, given)", "", ""]
            else:
                lines += _signature(name, f"before: {given}, given: {given}", outputs)
                lines += [f"    return {self.use('call_function')}({self._constant(node)}, before, given)", "", ""]
        return lines

    def body(self, workflow: str) -> list[str]:
        """Return the wiring of the nodes, in their order."""
        plan = self._plan
        is_async = any(node.call.foreach for node in plan.nodes)
        lines = ["@workflow", *_signature(workflow, self.parameters(), "Any", is_async=is_async)]
        names, refs = self._results()
        if plan.inputs or "outside" in refs:
            told = (self.inputs(), plan.optional) if plan.optional else (self.inputs(),)
            lines += laid_out("    outside = ", _Call(self.use("from_outside"), {}, told))
        for node in plan.nodes:
            made = self._made(node.name)
            outside = [Written("outside")] if node.reads_input and plan.inputs else []
            some = node.before if node.needs else ()
            given = [*outside, *(Written(self._made(name)) for name in node.reads if name not in some)]
            before: Any = [Written(self._made(name)) for name in node.before]
            if some:
                taken = self.name(f"some {node.name}", f"{node.name}_taken")
                lines += laid_out(f"    {taken}: Any = ", _Call("first", {"k": node.needs}, tuple(before)))
                before, given = Written(taken), [*given, Written(taken)]
            function = self.name(f"function {node.name}", node.name)
            if not node.call.foreach:
                call = f"{function}.step" if is_async else function
                lines += laid_out(f"    {made}: Any = ", _Call(call, {}, (before, given)))
                continue
            awaited = [Written(f"await {self._made(name)}") for name in node.before]
            lists = [*outside, *(Written(f"await {self._made(name)}") for name in node.lists)]
            lines += laid_out(f"    {made}: Any = ", Written(self.use("DEAD")))
            live = _Call(self.use("is_live"), {}, (node.name, awaited))
            lines += laid_out("    if ", live, ":")
            items = _Call(self.use("items_of"), {}, (Written(self._constant(node)), lists))
            lines += laid_out(f"        {made} = ", _Call(f"{function}.map", {"given": given}, (items,)))
        answered = (plan.results, names, [Written(ref) for ref in refs])
        return [*lines, *laid_out("    return ", _Call(self.use("answer"), {}, answered))]

    def _results(self) -> tuple[list[str], list[str]]:
        wanted = sorted({name for name, _ in self._plan.results.values()}) or list(self._plan.last)
        if "" not in wanted:
            return wanted, [self._made(name) for name in wanted]
        names = list(self._plan.sure)
        return ["INPUT", *names], ["outside", *map(self._made, names)]

    def _constant(self, node: Any) -> str:
        return self.name(f"constant {node.name}", re.sub(r"\W", "_", node.name).upper())

    def _made(self, node: str) -> str:
        return self.name(f"made {node}", f"{node}_made")


class BlockProgram(PythonProgram):
    """The program of a plan of DataFlower."""

    def constants(self) -> list[str]:
        """Return what each block is, and what goes to the user."""
        lines = [
            line
            for block in self._plan.blocks
            for line in ("", *laid_out(f"{self._constant(block)} = ", self.written(block)))
        ]
        return [*lines, "", *laid_out("RESULTS = ", self.written(self._plan.results))]

    def functions(self) -> list[str]:
        """Return a Function for each block."""
        lines = []
        for block in self._plan.blocks:
            name = self.name(f"function {block.name}", block.name)
            lines.append('@function(effects="none")')
            place, arrived, posts = self.use("Place"), self.use("BlockArrivals"), self.use("Posts")
            lines += _signature(name, f"place: {place}, arrived: {arrived}", posts)
            lines += [f"    return {self.use('run_block')}({self._constant(block)}.call, place, arrived)", "", ""]
        return lines

    def body(self, workflow: str) -> list[str]:
        """Return the wiring of the blocks."""
        blocks = self._plan.blocks
        functions = {block.name: Written(self.name(f"function {block.name}", block.name)) for block in blocks}
        constants = [Written(self._constant(block)) for block in blocks]
        return [
            "@workflow",
            *_signature(workflow, self.parameters(), "Any", is_async=True),
            *laid_out("    wiring = ", _Call(self.use("BlockWiring"), {}, (self.inputs(), functions))),
            *laid_out("    await ", _Call("wiring.call_all", {}, (constants,))),
            "    return wiring.answer(RESULTS)",
        ]

    def _constant(self, block: Any) -> str:
        return self.name(f"constant {block.name}", re.sub(r"\W", "_", block.name).upper())


class _Call:
    """A call in a program: of a name, with arguments by place and by keyword."""

    def __init__(self, name: str, keywords: Mapping[str, Any], arguments: tuple[Any, ...] = ()) -> None:
        self.name = name
        self.keywords = keywords
        self.arguments = arguments


def laid_out(before: str, value: Any, after: str = "") -> list[str]:
    """Return the lines of a value in a program, with what stands before and behind it."""
    line = f"{before}{_one_line(value)}{after}"
    opened = _opened(value)
    if len(line) <= _WIDTH or opened is None:
        return [line]
    first, items, last = opened
    indent = " " * (len(before) - len(before.lstrip()))
    inner = [line for prefix, item in items for line in laid_out(f"{indent}    {prefix}", item, ",")]
    return [f"{before}{first}", *inner, f"{indent}{last}{after}"]


def _opened(value: Any) -> tuple[str, list[tuple[str, Any]], str] | None:
    """Return what opens a value, what stands in it, and what closes it; None for what can't be broken."""
    match value:
        case _Call():
            named = [(f"{key}=", each) for key, each in value.keywords.items()]
            items = [*(("", each) for each in value.arguments), *named]
            return (f"{value.name}(", items, ")") if items else None
        case dict():
            return ("{", [(f"{_quoted(key)}: ", each) for key, each in value.items()], "}") if value else None
        case list():
            return ("[", [("", each) for each in value], "]") if value else None
        case tuple():
            return ("(", [("", each) for each in value], ")") if value else None
    return None


def _one_line(value: Any) -> str:
    opened = _opened(value)
    if opened is not None:
        first, items, last = opened
        comma = "," if isinstance(value, tuple) and len(value) == 1 else ""
        return f"{first}{', '.join(f'{prefix}{_one_line(item)}' for prefix, item in items)}{comma}{last}"
    if isinstance(value, _Call):
        return f"{value.name}()"
    if isinstance(value, Written):
        return str(value)
    return _quoted(value) if isinstance(value, str) else repr(value)


def _quoted(text: str) -> str:
    """Return a text as a formatter writes it: in double quotes, unless it has such."""
    if '"' in text and "'" not in text:
        return repr(text)
    return json.dumps(text, ensure_ascii=not text.isprintable())


def _plain(text: str) -> str:
    """Return a text as it may stand in a docstring."""
    return text.replace("\\", "/").replace('"', "'")


def _signature(name: str, parameters: str, returns: str, *, is_async: bool = False) -> list[str]:
    line = f"{'async ' if is_async else ''}def {name}({parameters}) -> {returns}:"
    if len(line) <= _WIDTH:
        return [line]
    told = [f"    {parameter}," for parameter in cast("list[str]", re.split(r", (?![^\[]*\])", parameters))]
    return [f"{'async ' if is_async else ''}def {name}(", *told, f") -> {returns}:"]


def _imports(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])
