"""A timeline as one HTML file that needs nothing else: no other file, no network, light and dark."""

from __future__ import annotations

import html
import json
import re
from importlib import resources

from weftrun.views.lanes import time_breakdown_lines
from weftrun.views.timeline import Span, Timeline

_TEMPLATE = "timeline.html"


def page(line: Timeline) -> str:
    """Return the whole file. What a Run printed or returned stands in it as text and is never run."""
    template = resources.files("weftrun.views").joinpath(_TEMPLATE).read_text(encoding="utf-8")
    parts = {
        "title": html.escape(f"{line.id}: {line.function}"),
        "status": html.escape(line.status),
        "where": "".join(f"<p>{html.escape(sentence)}</p>" for sentence in time_breakdown_lines(line.time_breakdown)),
        "data": _embedded(_data(line)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda hole: parts[hole[1]], template)


def _data(line: Timeline) -> dict[str, object]:
    """Return what the page's script draws; times are seconds since the Run began."""
    began_at = line.began_at
    labels = sorted({span.label for lane in line.lanes for span in lane.spans})
    place = {label: index for index, label in enumerate(labels)}
    return {
        "length": line.over_at - began_at,
        "labels": labels,
        "lanes": [
            {"name": f"Sandbox {lane.sandbox}", "spans": [_span(s, began_at, place[s.label]) for s in lane.spans]}
            for lane in line.lanes
        ],
        "disk": [[round(begin - began_at, 6), round(end - begin, 6)] for begin, end in line.gated],
        "where": {
            "running": line.time_breakdown.running_s,
            "disk": line.time_breakdown.committing_s,
            "waiting": line.time_breakdown.waiting_s,
        },
        "traced": line.time_breakdown.traced,
        "marks": [[round(mark.at - began_at, 6), mark.kind, mark.text] for mark in line.marks],
    }


def _span(span: Span, began_at: float, label: int) -> list[object]:
    return [
        round(span.entered_at - began_at, 6),
        round(span.left_at - span.entered_at, 6),
        label,
        span.step,
        span.attempt,
        span.count,
        span.failed,
        int(span.is_body),
        span.text[:300],
        int(span.is_running),
    ]


def _embedded(data: dict[str, object]) -> str:
    """Return JSON that can stand inside a script element whatever its texts hold."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
