"""What can be asked of a Run's records, and the answers as JSON: the same in the gateway's process and beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Literal, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from weftrun.assembly import Look, Reader
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.encoding import as_json
from weftrun.entrypoints.http.finding import found
from weftrun.views.following import still
from weftrun.views.graph import GraphEdge, GraphNode, drawing, drawing_of, graph
from weftrun.views.page import page
from weftrun.views.places import PlaceView, places
from weftrun.views.run import RunShown, run_shown
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold, steps
from weftrun.views.story import Sentence, story
from weftrun.views.timeline import Timeline, timeline
from weftrun.views.trace import TextView, is_part, texts

T = TypeVar("T")
Part = Literal["steps", "graph", "timeline", "story", "logs"]
What = Literal["run", "view", "steps", "logs", "story", "timeline", "page", "graph"]
SPANS_MAX = 20_000
_ANSWER_MAX = 50


class LookAsked(Struct, frozen=True, kw_only=True):
    """What somebody asks of a Run.

    Attributes:
        what: names the route; `page` is the timeline as HTML.
        run: id of the Run, as the caller knows it.
        step: only this Step, with its items or the calls of its body.
        nodes: over so many Steps the graph has one node per Function.
        spans: over so many, short neighbours become one on the timeline.
        parts, lines: of a view, what is to be seen, and at most so many Steps, sentences and texts.
    """

    what: What
    run: str
    caller: Caller
    step: str | None = None
    nodes: int = 200
    spans: int = SPANS_MAX
    parts: frozenset[Part] = frozenset()
    lines: int | None = None


class GraphShown(Struct, frozen=True):
    """The graph of a Run, as data and as a Mermaid flowchart."""

    id: str
    mermaid: str
    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class RunDrawn(Struct, frozen=True):
    """The graph of a Run, as data."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class RunView(Struct, frozen=True, omit_defaults=True):
    """What can be seen of a Run, as it stood at one moment. What was not asked for is left out.

    Attributes:
        run: how it stands; with `lines`, `answer_of` has at most 50 Steps.
        at: when this was read, in seconds since the epoch.
        rows: how many rows the Run had: `after` of its `pulse`.
        steps: at most so many as were asked for in the order of the graph, and beside them those that failed or run.
        places: where its Functions ran; it comes with `timeline`.
        story_left, logs_left: sentences, and texts, that stand in the middle and were left out.
    """

    run: RunShown
    at: float
    rows: int
    steps: list[StepView] | None = None
    graph: RunDrawn | None = None
    timeline: Timeline | None = None
    places: list[PlaceView] | None = None
    story: list[Sentence] | None = None
    story_left: int = 0
    logs: list[TextView] | None = None
    logs_left: int = 0


def told(reader: Reader, asked: LookAsked) -> bytes:
    """Return the answer.

    Raises:
        Refusal: there is no such Run, or it was deleted.
    """
    return _TOLD[asked.what](reader, reader.look(found(reader, asked.caller, asked.run)), asked)


def shown(caller: Caller, seen: Look, fold: StepsFold, views: list[StepView]) -> RunShown:
    """Return what there is to tell of a Run that was folded, and of its Steps."""
    run = run_shown(seen.info, seen.rows, seen.trace, fold, views, seen.running, seen.owner)
    waiting_for, queue = caller.told(run.waiting_for), caller.shown(run.queue)
    return replace(run, id=caller.shown(run.id), waiting_for=waiting_for, queue=queue)


def printed_of(seen: Look, step: str | None) -> list[TextView]:
    """Return what a Run printed, in order, also what runs still; of one Step, where that is given."""
    ended = texts(seen.trace, step)
    now = [view for view in still(ended, seen.running) if step is None or is_part(view.step, step)]
    return ended + [TextView(view.seen_at, view.step, view.attempt, view.printed) for view in now if view.printed]


def _run(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    fold = StepsFold.of(seen.rows, seen.trace, seen.running)
    return as_json(shown(asked.caller, seen, fold, list(fold.views())))


def _view(reader: Reader, seen: Look, asked: LookAsked) -> bytes:
    fold = StepsFold.of(seen.rows, seen.trace, seen.running)
    views = list(fold.views())
    parts: dict[str, Any] = {}
    if "steps" in asked.parts:
        parts["steps"] = _few(views, asked.lines)
    if "graph" in asked.parts:
        drawn = drawing_of(fold, views, nodes_max=asked.nodes)
        parts["graph"] = RunDrawn(drawn.nodes, drawn.edges)
    if "timeline" in asked.parts:
        line = timeline(seen.rows, seen.trace, seen.running, spans_max=asked.spans, fold=fold)
        parts["timeline"], parts["places"] = replace(line, id=asked.run), places(line)
    if "story" in asked.parts:
        sentences = story(seen.rows, seen.trace, asked.step, reader.emitted(seen.info.uid))
        parts["story"], parts["story_left"] = _ends(sentences, asked.lines)
    if "logs" in asked.parts:
        parts["logs"], parts["logs_left"] = _ends(printed_of(seen, asked.step), asked.lines)
    run = shown(asked.caller, seen, fold, views)
    if asked.lines is not None:
        run = replace(run, answer_of=dict(islice(run.answer_of.items(), _ANSWER_MAX)))
    return as_json(RunView(run, seen.at, seen.rows[-1].seq, **parts))


def _few(views: list[StepView], most: int | None) -> list[StepView]:
    """Return the first Steps, and as many of the others that failed, and that run."""
    if most is None or len(views) <= most:
        return views
    rest = views[most:]
    failed = [view for view in rest if view.status == "failed"][:most]
    running = [view for view in rest if view.status == "running"][:most]
    return [*views[:most], *failed, *running]


def _ends(lines: Sequence[T], most: int | None) -> tuple[list[T], int]:
    """Return the first and the last of what is told, and how many stand between them."""
    if most is None or len(lines) <= most:
        return list(lines), 0
    head = most // 2
    return [*lines[:head], *lines[head - most :]], len(lines) - most


def _steps(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    views = steps(seen.rows, seen.trace, seen.running)
    return as_json([view for view in views if asked.step is None or is_part(view.id, asked.step)])


def _logs(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    return as_json(printed_of(seen, asked.step))


def _story(reader: Reader, seen: Look, asked: LookAsked) -> bytes:
    return as_json(story(seen.rows, seen.trace, asked.step, reader.emitted(seen.info.uid)))


def _timeline(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    return as_json(replace(timeline(seen.rows, seen.trace, seen.running, spans_max=asked.spans), id=asked.run))


def _page(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    return page(timeline(seen.rows, seen.trace, seen.running, spans_max=asked.spans)).encode()


def _graph(_: Reader, seen: Look, asked: LookAsked) -> bytes:
    drawn = drawing(seen.rows, seen.trace, nodes_max=asked.nodes)
    text = graph(seen.rows, seen.trace, nodes_max=asked.nodes)
    return as_json(GraphShown(asked.run, text, drawn.nodes, drawn.edges))


_TOLD: dict[What, Callable[[Reader, Look, LookAsked], bytes]] = {
    "run": _run,
    "view": _view,
    "steps": _steps,
    "logs": _logs,
    "story": _story,
    "timeline": _timeline,
    "page": _page,
    "graph": _graph,
}
