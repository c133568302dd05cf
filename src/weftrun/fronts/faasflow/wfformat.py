"""WfFormat, the JSON in which WfCommons records workflows: a graph of tasks with their run times and files.

What was recorded is replayed: each task computes for as long, and hands on as many bytes, as it says. Read are its
version 1.5, with `specification` and `execution`, and the older ones, where a task has all that itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct

from weftrun.fronts.faasflow.graph import Graph
from weftrun.fronts.faasflow.plan import InputEntry, Made, Node, Plan, PlannedCall
from weftrun.fronts.faasflow.reading import Document
from weftrun.model.errors import UsageError

_RUNTIMES: Final = ("runtimeInSeconds", "runtime")
_SIZES: Final = ("sizeInBytes", "size")
_PERCENT: Final = 100.0


class Scales(Struct, frozen=True):
    """By what recorded times and sizes are multiplied."""

    cpu: float = 1.0
    bytes: float = 1.0


class Task(Struct):
    """One task, as it is read.

    Attributes:
        where: its place in the file.
        busy: share of its run time in which it computes.
    """

    where: str
    id: str
    parents: list[str]
    inputs: list[str]
    outputs: list[str]
    runtime: float = 0.0
    busy: float = 1.0


def read_trace(file: Path, scales: Scales) -> tuple[Plan, list[str]]:
    """Make a plan of a trace; return it with warnings of what is odd in it.

    Raises:
        UsageError: it can't be read, or is no WfFormat; a task has no id, two have one, a parent is not there, there is
            a cycle. All such places are named by their path in the file.
    """
    reading = TraceReading(file)
    workflow = reading.table(reading.top(), "workflow", "workflow")
    if "specification" in workflow:
        tasks = reading.new(workflow)
    else:
        tasks = reading.old(workflow)
    reading.check()
    graph = reading.graph(tasks)
    order = graph.order(lambda _: 0)
    reading.check()
    makers: dict[str, str] = {}
    for task in tasks.values():
        for key in task.outputs:
            if makers.setdefault(key, task.id) != task.id:
                reading.problem(task.where, f"the file {key!r} is made by {makers[key]!r}, too")
    reading.check()
    name = str(reading.top().get("name") or file.stem)
    name = "".join(sign for sign in name if sign.isprintable() and sign not in "[]/") or "trace"
    nodes = tuple(reading.node(name, tasks[each], graph, makers, scales) for each in order)
    return Plan(name, str(file), nodes), reading.warnings


class TraceReading:
    """One trace that is being read, and what was found wrong with it.

    Attributes:
        warnings: what is odd, and does not keep it from running.
    """

    def __init__(self, file: Path) -> None:
        """Read the file."""
        self.warnings: list[str] = []
        self._file = file
        self._problems: list[str] = []
        self._sizes: dict[str, int] = {}
        try:
            self._top = json.loads(file.read_bytes())
        except OSError as error:
            raise UsageError(f"{file} can't be read: {error.strerror}.") from error
        except RecursionError as error:
            raise UsageError(f"{file}: it is nested too deeply.") from error
        except ValueError as error:
            raise UsageError(f"{file}: it is no JSON: {error}.") from error
        if not isinstance(self._top, dict) or "workflow" not in self._top:
            raise UsageError(f"{file} is no WfFormat: it needs to be an object with the key `workflow`.")

    def top(self) -> dict[str, Any]:
        """Return the whole content."""
        return dict(self._top)

    def problem(self, where: str, text: str) -> None:
        """Note that something is wrong at a place."""
        self._problems.append(f"{self._file}: {where}: {text}.")

    def check(self) -> None:
        """Refuse the file if anything is wrong with it; raises UsageError."""
        if self._problems:
            more = len(self._problems) - 20
            raise UsageError("\n".join([*self._problems[:20], *([f"… and {more} more."] if more > 0 else [])]))

    def table(self, content: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
        """Return an object; an empty one where there is none, which is a problem."""
        found = content.get(key)
        if not isinstance(found, dict):
            self.problem(where, "it must be an object")
            return {}
        return found

    def new(self, workflow: dict[str, Any]) -> dict[str, Task]:
        """Read tasks of version 1.5."""
        specification = self.table(workflow, "specification", "workflow.specification")
        for where, entry in self._objects(specification, "files", "workflow.specification", needed=False):
            self._sizes[self._text(entry, ("id",), where)] = round(self._number(entry, _SIZES, where))
        tasks: dict[str, Task] = {}
        for where, entry in self._objects(specification, "tasks", "workflow.specification"):
            id = self._text(entry, ("id", "name"), where)
            inputs, outputs = self._texts(entry, "inputFiles", where), self._texts(entry, "outputFiles", where)
            self._add(tasks, Task(where, id, self._texts(entry, "parents", where), inputs, outputs))
        if isinstance(workflow.get("execution"), dict):
            for where, entry in self._objects(workflow["execution"], "tasks", "workflow.execution"):
                id = self._text(entry, ("id",), where)
                if id not in tasks:
                    self.problem(where, f"there is no task {id!r}")
                else:
                    self._times(tasks[id], entry, where)
        else:
            self.warnings.append(f"{self._file}: it has no `execution`, so every task takes no time.")
        return tasks

    def old(self, workflow: dict[str, Any]) -> dict[str, Task]:
        """Read tasks of a version before 1.5."""
        tasks: dict[str, Task] = {}
        for where, entry in self._objects(workflow, "tasks" if "tasks" in workflow else "jobs", "workflow"):
            id = self._text(entry, ("id", "name"), where)
            task = Task(where, id, self._texts(entry, "parents", where), [], [])
            for place, file in self._objects(entry, "files", where, needed=False):
                name = self._text(file, ("id", "name"), place)
                self._sizes[name] = round(self._number(file, _SIZES, place))
                link = self._text(file, ("link",), place)
                if link not in ("input", "output"):
                    self.problem(place, f"`link` is {link!r}, and must be input or output")
                (task.inputs if link == "input" else task.outputs).append(name)
            self._times(task, entry, where)
            self._add(tasks, task)
            other = entry.get("name")
            if isinstance(other, str) and other != id:
                tasks.setdefault(other, task)  # parents are told by it in some files
        return tasks

    def graph(self, tasks: dict[str, Task]) -> Graph:
        """Return which task stands before which: by its parents, and by the files that it reads."""
        document = Document(self._file)
        for other in [name for name, task in tasks.items() if task.id != name]:
            known = tasks.pop(other)
            for task in tasks.values():
                task.parents = [known.id if parent == other else parent for parent in task.parents]
        graph = _TraceGraph(document, list(tasks), self)
        makers = {key: task.id for task in tasks.values() for key in task.outputs}
        for task in tasks.values():
            for parent in task.parents:
                if parent not in tasks:
                    self.problem(task.where, f"its parent {parent!r} is no task")
                else:
                    graph.connect(parent, task.id)
            for key in task.inputs:
                if makers.get(key, task.id) != task.id:
                    graph.connect(makers[key], task.id)
        self.check()
        return graph

    def node(self, workflow: str, task: Task, graph: Graph, makers: dict[str, str], scales: Scales) -> Node:
        """Return the node of a task, scaled."""
        made = {key: Made("pass", round(self._sizes.get(key, 0) * scales.bytes)) for key in task.outputs}
        taken = {
            key: InputEntry("pass", makers[key], key, round(self._sizes.get(key, 0) * scales.bytes))
            for key in task.inputs
            if makers.get(key, task.id) != task.id
        }
        runtime = task.runtime * scales.cpu
        call = PlannedCall(
            workflow, task.id, "synthetic", "", runtime, taken, made, cpu_s=runtime * task.busy
        )  # fmt: skip
        before = tuple(graph.before(task.id))
        reads = {entry.function for entry in taken.values()}
        return Node(call, before, tuple(each for each in before if each in reads))

    def _add(self, tasks: dict[str, Task], task: Task) -> None:
        if not task.id.isprintable() or set("[]/") & set(task.id):
            self.problem(task.where, f"{task.id!r} can't be the name of a Step: it has a sign that is none of a name's")
        if task.id in tasks:
            self.problem(task.where, f"two tasks have the id {task.id!r}; the other is {tasks[task.id].where}")
        tasks[task.id] = task

    def _times(self, task: Task, entry: Mapping[str, Any], where: str) -> None:
        task.runtime = self._number(entry, _RUNTIMES, where)
        share = self._number(entry, ("avgCPU",), where, _PERCENT) / _PERCENT
        task.busy = min(1.0, share)

    def _objects(
        self, content: Mapping[str, Any], key: str, where: str, *, needed: bool = True
    ) -> list[tuple[str, dict[str, Any]]]:
        found = content.get(key)
        if found is None and not needed:
            return []
        if not isinstance(found, list):
            self.problem(where, f"it needs the key {key!r} with a list")
            return []
        result = []
        for index, entry in enumerate(found):
            place = f"{where}.{key}[{index}]"
            if isinstance(entry, dict):
                result.append((place, entry))
            else:
                self.problem(place, "it must be an object")
        return result

    def _text(self, entry: Mapping[str, Any], keys: tuple[str, ...], where: str) -> str:
        found = next((entry[key] for key in keys if entry.get(key) is not None), None)
        if isinstance(found, str) and found:
            return found
        self.problem(where, f"it needs the key {keys[0]!r} with a text")
        return ""

    def _texts(self, entry: Mapping[str, Any], key: str, where: str) -> list[str]:
        found = entry.get(key)
        if found is None:
            return []
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            self.problem(where, f"{key!r} must be a list of texts")
            return []
        return list(dict.fromkeys(found))

    def _number(self, entry: Mapping[str, Any], keys: tuple[str, ...], where: str, default: float = 0.0) -> float:
        found = next((entry[key] for key in keys if entry.get(key) is not None), default)
        if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < math.inf:
            self.problem(where, f"{keys[0]!r} is {found!r}, and must be a number that is not negative")
            return default
        return float(found)


class _TraceGraph(Graph):
    """A graph whose problems are told without a line, since JSON is read without lines."""

    def __init__(self, document: Document, names: list[str], reading: TraceReading) -> None:
        super().__init__(document, names)
        self._reading = reading

    def refuse(self, line: int, text: str) -> None:  # noqa: ARG002  # there is none
        """Note a problem of the whole."""
        self._reading.problem("workflow", text.rstrip("."))
