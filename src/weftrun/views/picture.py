"""A timeline as one SVG picture, for documents and tickets. It holds no script, and follows light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from weftrun.views.timeline import Mark, Span, Timeline, TimelineLane
from weftrun.views.units import duration, size

_ROW = 26
_LEFT = 96
_RIGHT = 40
_HEAD = 30
_AXIS = 24
_TICKS = 5
_LETTER = 6.4
_MARKED = {"crash": "✕ crash", "takeover": "↪ taken over", "woken": "↪ woken"}
_STYLE = """
text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #1b1f24 } .quiet { fill: #59636e }
.line { stroke: #d1d9e0 } .bar { fill: #b8dfc2; stroke: #116329 } .failed { fill: #f3c3c9; stroke: #a40e26 }
.running { fill: #bcd5f1; stroke: #0550ae; stroke-dasharray: 5 3 } .body { fill: none; stroke: #59636e }
.disk { fill: #d4a72c } .moved { fill: #8250df }
.mark { stroke: #a40e26; stroke-dasharray: 4 3 } .paper { fill: #ffffff }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .quiet { fill: #9198a1 } .line { stroke: #3d444d } .paper { fill: #0d1117 }
  .bar { fill: #1d4429; stroke: #56d364 } .failed { fill: #4d1f21; stroke: #ff7b72 }
  .running { fill: #1b3351; stroke: #79c0ff } .body { stroke: #9198a1 } .mark { stroke: #ff7b72 }
}
"""


def picture(line: Timeline, width: int = 1_000) -> str:
    """Return the whole file. What a Run printed or returned stands in it as text.

    Args:
        width: in pixels.
    """
    rows = len(line.lanes) + len({transfer.worker for transfer in line.transfers}) + bool(line.gated)
    height = _HEAD + rows * _ROW + _AXIS
    took = duration(line.over_at - line.began_at)
    title = f"{line.id}: {line.function}, {line.status}, {took}"
    sized = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {sized} role="img" aria-label="{_text(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{width}" height="{height}"/>',
        f'<text x="8" y="19">{_text(title)}</text>',
        *_Drawing(line, width).parts(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


class _Drawing:
    """One timeline on paper of one width."""

    def __init__(self, line: Timeline, width: int) -> None:
        self._line = line
        self._wide = width - _LEFT - _RIGHT
        self._whole = max(line.over_at - line.began_at, 1e-6)

    def parts(self, height: int) -> Iterator[str]:
        """Yield axis, lanes and marks."""
        for tick in range(_TICKS + 1):
            x = _LEFT + self._wide * tick / _TICKS
            yield f'<line class="line" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD}" y2="{height - 18}"/>'
            at = duration(self._whole * tick / _TICKS) if tick else "0"
            yield f'<text class="quiet" x="{x:.1f}" y="{height - 5}" text-anchor="middle">{at}</text>'
        for row, lane in enumerate(self._line.lanes):
            yield from self._lane(lane, _HEAD + row * _ROW)
        rows = len(self._line.lanes)
        workers = sorted({transfer.worker for transfer in self._line.transfers})
        for row, worker in enumerate(workers, rows):
            yield from self._transfers(worker, _HEAD + row * _ROW)
        if self._line.gated:
            y = _HEAD + (rows + len(workers)) * _ROW
            yield f'<text class="quiet" x="8" y="{y + 17}">disk</text>'
            for begin, end in self._line.gated:
                yield self._box("disk", begin, end, y + 8, 10, f"waiting for the disk {duration(end - begin)}")
        for mark in self._line.marks:
            if mark.kind in _MARKED:
                yield from self._mark(mark, height)

    def _lane(self, lane: TimelineLane, y: int) -> Iterator[str]:
        yield f'<text class="quiet" x="8" y="{y + 17}">Sandbox {lane.sandbox}</text>'
        for span in lane.spans:
            took = duration(span.left_at - span.entered_at)
            told = f"{span.step}, Attempt {span.attempt}: {took}" + (f", {span.text}" if span.text else "")
            yield self._box(_kind(span), span.entered_at, span.left_at, y + 3, _ROW - 6, told)
            label = f"{span.label} × {span.count}" if span.count > 1 else span.step
            x = self._x(span.entered_at)
            if self._x(span.left_at) - x > len(label) * _LETTER + 8:
                yield f'<text x="{x + 4:.1f}" y="{y + 17}">{_text(label)}</text>'

    def _transfers(self, worker: int, y: int) -> Iterator[str]:
        yield f'<text class="quiet" x="8" y="{y + 17}">to Worker {worker}</text>'
        for each in self._line.transfers:
            if each.worker == worker:
                source = f"fetched from Worker {each.source}" if each.source else "sent by the engine"
                told = f"{each.step}, {size(each.nbytes)}, {source}: {duration(each.came_at - each.began_at)}"
                yield self._box("moved", each.began_at, each.came_at, y + 8, 10, told)

    def _mark(self, mark: Mark, height: int) -> Iterator[str]:
        x = self._x(mark.at)
        yield f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_HEAD - 6}" y2="{height - 18}"/>'
        yield f'<text class="quiet" x="{x + 3:.1f}" y="{_HEAD}">{_MARKED[mark.kind]}</text>'

    def _box(self, kind: str, begin: float, end: float, y: int, height: int, told: str) -> str:
        x, wide = self._x(begin), max(self._x(end) - self._x(begin), 1.5)
        return (
            f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{height}" rx="3">'
            f"<title>{_text(told)}</title></rect>"
        )

    def _x(self, at: float) -> float:
        return _LEFT + (at - self._line.began_at) / self._whole * self._wide


def _kind(span: Span) -> str:
    if span.is_running:
        return "running"
    if span.failed:
        return "failed"
    return "body" if span.is_body else "bar"


def _text(text: str) -> str:
    """Return a text as XML can hold it, which knows no control characters and no halves of surrogate pairs."""
    return escape("".join(one if one.isprintable() or one == "\n" else "\ufffd" for one in text[:500]))
