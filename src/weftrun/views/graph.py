"""The graph of a Run, as data and as a Mermaid flowchart: data solid, control dotted, a map one node with its count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.views.calls import Calls, CallView
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.trace import Traced

_CLASSES = {
    "pending": "fill:#8881,stroke:#888,stroke-dasharray:3 3",
    "running": "fill:#36c3,stroke:#36c",
    "succeeded": "fill:#2a73,stroke:#2a7",
    "failed": "fill:#c333,stroke:#c33,stroke-width:2px",
    "cancelled": "fill:#8883,stroke:#888",
}


def graph(rows: Sequence[Row], trace: Sequence[Traced] = (), *, nodes_max: int = 200) -> str:
    """Return the graph of a Run as text for Mermaid.

    Each Workflow's body is a box around its calls. Over `nodes_max` Steps, calls of one Function by one body become
    one node with their count. A dotted arrow means: had to come first, though no value of it is taken.
    """
    return "\n".join(_charted(rows, trace, nodes_max).lines()) + "\n"


class GraphNode(Struct, frozen=True):
    """A Step, or all calls of one Function by one body where there are many.

    Attributes:
        id: of the Step, or a name for these calls.
        body: the Step whose body made the call; empty for the Run's own.
        count: of Steps, or of items of a map.
        is_body: whether it is a Workflow's body, with its calls inside.
    """

    id: str
    label: str
    body: str
    status: Status
    count: int
    is_body: bool


class GraphEdge(Struct, frozen=True):
    """From one node to another: a value is handed on, or, `is_control`, the one only had to come first."""

    source: str
    target: str
    is_control: bool


class Drawing(Struct, frozen=True):
    """The graph of a Run as data."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


def drawing(rows: Sequence[Row], trace: Sequence[Traced] = (), *, nodes_max: int = 200) -> Drawing:
    """Return the graph of a Run as data, with the same nodes and edges as `graph` draws."""
    return _charted(rows, trace, nodes_max).drawing()


def drawing_of(fold: StepsFold, views: Sequence[StepView], *, nodes_max: int = 200) -> Drawing:
    """Return what `drawing` does, of a Run that was folded already, and of its Steps."""
    return _chart_of(fold, views, nodes_max).drawing()


def _charted(rows: Sequence[Row], trace: Sequence[Traced], nodes_max: int) -> _Chart:
    fold = StepsFold.of(rows, trace)
    return _chart_of(fold, list(fold.views()), nodes_max)


def _chart_of(fold: StepsFold, views: Sequence[StepView], nodes_max: int) -> _Chart:
    by_step = {view.id: view for view in views}
    return _Chart(fold.calls, [by_step[step] for step in fold.calls.by_step], nodes_max)


class _Node:
    """One node: a Step, or all calls of one Function by one body."""

    __slots__ = ("body", "count", "is_box", "key", "label", "status")

    def __init__(self, key: str, label: str, body: StepId, *, is_box: bool) -> None:
        self.key = key
        self.label = label
        self.body = body
        self.is_box = is_box
        self.count = 0
        self.status: Status = "succeeded"


class _Chart:
    def __init__(self, calls: Calls, views: Sequence[StepView], nodes_max: int) -> None:
        self._calls = calls
        self._nodes: dict[str, _Node] = {}
        self._of: dict[StepId, _Node] = {}
        self._together = len(views) > nodes_max
        for view in views:
            self._add(view)

    def lines(self) -> Iterator[str]:
        """Yield the chart line by line."""
        yield "flowchart TD"
        yield from self._inside(StepId(""), 1)
        for edge in dict.fromkeys(self._edges()):
            yield f"  {edge}"
        used = {node.status for node in self._nodes.values()}
        yield from (f"  classDef {status} {style}" for status, style in _CLASSES.items() if status in used)

    def drawing(self) -> Drawing:
        """Return the chart as data."""
        names = {node.key: name for name, node in self._nodes.items()}
        nodes = (
            GraphNode(name, node.label, node.body, node.status, node.count, node.is_box)
            for name, node in self._nodes.items()
        )
        edges = (
            GraphEdge(names[source.key], names[target.key], is_control)
            for source, target, is_control in dict.fromkeys(self._links())
        )
        return Drawing(tuple(nodes), tuple(edges))

    def _links(self) -> Iterator[tuple[_Node, _Node, bool]]:
        """Yield each edge between calls."""
        for call in self._calls.by_step.values():
            into = self._of[call.id]
            yield from ((self._of[producer], into, False) for producer in self._calls.producers(call))
            yield from ((self._of[before], into, True) for before in self._control(call))

    def _add(self, view: StepView) -> None:
        call = self._calls.by_step[view.id]
        is_box = view.id in self._calls.bodies
        grouped = self._together and not is_box
        name = f"{call.body}/{call.label}" if grouped else view.id
        node = self._nodes.get(name)
        if node is None:
            node = _Node(f"s{len(self._nodes)}", call.label if grouped else view.id, call.body, is_box=is_box)
            self._nodes[name] = node
        self._of[view.id] = node
        node.count += (view.items if view.items is not None else 0) if call.is_map else 1
        if node.count and call.is_map and not grouped:
            node.label = f"{view.id} × {node.count:,}"
        node.status = max(node.status, view.status, key=_WORST.index)

    def _inside(self, body: StepId, depth: int) -> Iterator[str]:
        """Yield the nodes of one body; boxes nest as deep as Workflows do."""
        space = "  " * depth
        for node in self._by_body().get(body, []):
            text = _quoted(f"{node.label} × {node.count:,}" if self._together and node.count > 1 else node.label)
            if not node.is_box:
                yield f"{space}{node.key}[{text}]:::{node.status}"
                continue
            yield f"{space}subgraph {node.key}[{text}]"
            step = StepId(node.label)
            yield from self._inside(step, depth + 1)
            yield f"{space}  {node.key}_end(( )):::{node.status}"
            yield f"{space}end"

    def _by_body(self) -> dict[StepId, list[_Node]]:
        by_body: dict[StepId, list[_Node]] = {}
        for node in self._nodes.values():
            by_body.setdefault(node.body, []).append(node)
        return by_body

    def _edges(self) -> Iterator[str]:
        for source, target, is_control in self._links():
            yield f"{_out(source)} {'-.->' if is_control else '-->'} {target.key}"
        for body in self._calls.ended:
            for step in self._calls.answer(body):
                if body in self._of:
                    yield f"{_out(self._of[step])} --> {self._of[body].key}_end"

    def _control(self, call: CallView) -> list[StepId]:
        """Return what came before a call without giving it a value: `after=`, and what the body was told before it."""
        watched = self._calls.watched(call)
        before = [*self._calls.predecessors(call), *([watched] if watched is not None else [])]
        producers = set(self._calls.producers(call))
        return [step for step in before if step not in producers and step in self._of]


def _out(node: _Node) -> str:
    return f"{node.key}_end" if node.is_box else node.key


_WORST = ("succeeded", "cancelled", "pending", "running", "failed")


def _quoted(text: str) -> str:
    """Return a Mermaid label that shows `text` as it is."""
    return '"' + text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;") + '"'
