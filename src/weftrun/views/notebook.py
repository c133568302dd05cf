"""A Run as a small picture for a notebook: how it stands, how far it is, its graph. Static, without a script.

What authors wrote (names, ids, errors) stands in it as text only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from weftrun.model.outcomes import Status
from weftrun.model.records import Ended, Row
from weftrun.model.telling import writable
from weftrun.views.calls import start_of
from weftrun.views.graph import Drawing, GraphNode, drawing_of
from weftrun.views.progress import apart, counted
from weftrun.views.running import RunningView
from weftrun.views.step import error_line
from weftrun.views.steps import StepsFold
from weftrun.views.trace import Traced
from weftrun.views.units import count_of, duration

_NODES_MAX = 24
"""Over so many Steps, calls of one Function by one body are one node."""
_COLUMNS_MAX = 8
_ROWS_MAX = 10
_WIDTH, _HEIGHT, _GAP, _TURN = 150, 26, 12, 40
_LABEL_MAX = 18
_TEXT_MAX = 200
_BAR = 320
_MARKS: dict[Status, str] = {"pending": "○", "running": "▶", "succeeded": "✓", "failed": "✕", "cancelled": "⊘"}
_COLORS: dict[Status, str] = {
    "pending": "#6e7781",
    "running": "#0969da",
    "succeeded": "#1a7f37",
    "failed": "#cf222e",
    "cancelled": "#6e7781",
}
"""Of lines only: they can be told apart on light and on dark paper, and a mark stands beside each."""


def notebook(
    rows: Sequence[Row],
    trace: Sequence[Traced] = (),
    running: Sequence[RunningView] = (),
    *,
    status: Status,
    waiting_for: str | None = None,
    now: float = 0.0,
) -> str:
    """Return a Run as HTML that can stand in any page.

    Args:
        waiting_for: what it stands still for.
        now: the time, in seconds since the epoch; what a Run that goes on has taken is told until then.
    """
    began = start_of(rows)
    fold = StepsFold.of(rows, trace, running)
    views = list(fold.views())
    ended = rows[-1].records[-1]
    over_at = rows[-1].at if isinstance(ended, Ended) else max(now, rows[-1].at)
    steps, items = apart(views)
    waits = f", waits for {waiting_for}" if waiting_for else ""
    head = f"{_MARKS[status]} {status}{waits}, {duration(over_at - rows[0].at)}"
    told = counted(steps, items)
    named = f"<b>{_text(began.id)}</b> of {_text(began.function.name)}"
    parts = [
        '<div style="font-family: sans-serif; font-size: 13px; overflow-x: auto">',
        f'<div>{named}: <span style="color: {_COLORS[status]}">{_text(head)}</span></div>',
        *(_progress(steps, items, told) if told else ()),
    ]
    if isinstance(ended, Ended) and ended.failure is not None:
        parts.append(f'<div style="color: {_COLORS["failed"]}">{_text(error_line(ended.failure))}</div>')
    parts += [*_graph(drawing_of(fold, views, nodes_max=_NODES_MAX)), "</div>"]
    return "\n".join(parts) + "\n"


def _progress(steps: dict[str, int], items: dict[str, int], told: str) -> Iterator[str]:
    """Yield a bar of what has settled, and what stands how in words. Items count where there are any."""
    counts = items or steps
    total = sum(counts.values()) or 1
    yield f'<svg width="{_BAR}" height="10" role="img" aria-label="{_text(told)}">'
    frame = f'x="0.5" y="0.5" width="{_BAR - 1}" height="9" fill="none"'
    yield f'<rect {frame} stroke="currentColor" stroke-opacity="0.4"/>'
    at = 0.0
    for status in ("succeeded", "failed", "cancelled", "running"):
        wide = _BAR * counts.get(status, 0) / total
        if wide:
            yield f'<rect x="{at:.1f}" y="0" width="{wide:.1f}" height="10" fill="{_COLORS[status]}"/>'
        at += wide
    yield f"</svg> <span>{_text(told)}</span><br/>"


class _Placed(NamedTuple):
    """A node on paper: its left upper corner."""

    node: GraphNode
    x: int
    y: int


def _graph(drawn: Drawing) -> Iterator[str]:
    """Yield the graph from left to right: what needs nothing at the left, what needs that beside it."""
    nodes = [node for node in drawn.nodes if node.body]  # not the Run's own body: it is all around them
    placed = {one.node.id: one for one in _places(nodes, drawn)}
    if not placed:
        return
    width = max(one.x for one in placed.values()) + _WIDTH + 2
    height = max(one.y for one in placed.values()) + _HEIGHT + 2
    told = f"graph of {count_of(len(nodes), 'node')}"
    yield f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" aria-label="{told}">'
    for edge in drawn.edges:
        source, target = placed.get(edge.source), placed.get(edge.target)
        if source is not None and target is not None and source.x < target.x:
            yield _edge(source, target, is_control=edge.is_control)
    for one in placed.values():
        yield from _node(one)
    yield "</svg>"
    if len(placed) < len(nodes):
        yield f"<div>and {count_of(len(nodes) - len(placed), 'node')} more</div>"


def _places(nodes: Sequence[GraphNode], drawn: Drawing) -> Iterator[_Placed]:
    """Yield a place for each node, column after column; what finds none is left out."""
    needs: dict[str, list[str]] = {node.id: [] for node in nodes}
    for edge in drawn.edges:
        if edge.source in needs and edge.target in needs:
            needs[edge.target].append(edge.source)
    columns = _columns(needs)
    heights: dict[int, int] = {}
    for node in nodes:
        column = columns[node.id]
        row = heights.get(column, 0)
        heights[column] = row + 1
        if column < _COLUMNS_MAX and row < _ROWS_MAX:
            yield _Placed(node, 1 + column * (_WIDTH + _TURN), 1 + row * (_HEIGHT + _GAP))


def _columns(needs: dict[str, list[str]]) -> dict[str, int]:
    """Return a column for each node, right of those that it needs. Of groups that need one another one comes first."""
    columns: dict[str, int] = {}
    for first in needs:
        path = [first] if first not in columns else []
        while path:
            node = path[-1]
            missing = [need for need in needs[node] if need not in columns and need not in path]
            if missing:
                path.append(missing[0])
                continue
            columns[node] = 1 + max((columns[need] for need in needs[node] if need in columns), default=-1)
            path.pop()
    return columns


def _edge(source: _Placed, target: _Placed, *, is_control: bool) -> str:
    x, y = source.x + _WIDTH, source.y + _HEIGHT // 2
    to_x, to_y = target.x, target.y + _HEIGHT // 2
    middle = (x + to_x) // 2
    dashed = ' stroke-dasharray="3 3"' if is_control else ""
    path = f"M {x} {y} C {middle} {y} {middle} {to_y} {to_x} {to_y}"
    return f'<path d="{path}" fill="none" stroke="currentColor" stroke-opacity="0.5"{dashed}/>'


def _node(one: _Placed) -> Iterator[str]:
    node = one.node
    count = f" × {node.count:,}" if node.count > 1 and "×" not in node.label else ""
    told = f"{node.label}{count}"
    shown = told if len(told) <= _LABEL_MAX else f"{node.label[: _LABEL_MAX - len(count) - 1]}…{count}"
    color = _COLORS[node.status]
    dashed = ' stroke-dasharray="4 3"' if node.status in ("pending", "running") else ""
    yield f"<g><title>{_text(f'{told}: {node.status}')}</title>"
    yield (
        f'<rect x="{one.x}" y="{one.y}" width="{_WIDTH}" height="{_HEIGHT}" rx="4" fill="{color}" fill-opacity="0.12" '
        f'stroke="{color}"{dashed}/>'
    )
    yield f'<text x="{one.x + 8}" y="{one.y + 17}" font-size="12" fill="{color}">{_MARKS[node.status]}</text>'
    yield f'<text x="{one.x + 24}" y="{one.y + 17}" font-size="12" fill="currentColor">{_text(shown)}</text></g>'


def _text(text: str) -> str:
    """Return text that can be nothing but text, in an element or in an attribute, and is not long."""
    return escape(writable(text if len(text) <= _TEXT_MAX else text[: _TEXT_MAX - 1] + "…"), quote=True)
