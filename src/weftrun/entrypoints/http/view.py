"""The route of all that can be seen of a Run: what a page shows of it, of one moment and read once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar

from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct
from msgspec.structs import replace

from weftrun.assembly import Reader
from weftrun.entrypoints.http.answers import as_json, encoded_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import found
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.runs import LOOKED, SPANS_MAX, Id, StepName, printed_of, shown
from weftrun.views.graph import GraphEdge, GraphNode, drawing_of
from weftrun.views.places import PlaceView, places
from weftrun.views.run import RunShown
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.story import Sentence, story
from weftrun.views.timeline import Timeline, timeline
from weftrun.views.trace import TextView

T = TypeVar("T")
Part = Literal["steps", "graph", "timeline", "story", "logs"]
_PARTS: tuple[Part, ...] = ("steps", "graph", "timeline", "story", "logs")


class RunDrawn(Struct, frozen=True):
    """The graph of a Run, as data."""

    nodes: tuple[GraphNode, ...]
    edges: tuple[GraphEdge, ...]


class RunView(Struct, frozen=True, omit_defaults=True):
    """What can be seen of a Run, as it stood at one moment. What was not asked for is left out.

    Attributes:
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


class WantedView(Struct, frozen=True, kw_only=True):
    """What of a Run is to be seen; see the route."""

    parts: frozenset[Part]
    nodes: int
    spans: int
    lines: int | None
    step: str | None


@get("/{run_id:str}/view", summary="Show all that can be seen of a Run", responses=LOOKED)
async def view_run(
    gateway: GatewayHere,
    caller: CallerHere,
    run_id: Id,
    nodes: Annotated[
        int, QueryParameter(ge=1, le=10_000, description="Over so many Steps, the graph has one node per Function.")
    ] = 200,
    spans: Annotated[
        int,
        QueryParameter(ge=1, le=SPANS_MAX, description="Over so many, short neighbours become one on the timeline."),
    ] = SPANS_MAX,
    lines: Annotated[
        int | None, QueryParameter(ge=2, description="At most so many Steps, sentences and texts; all by default.")
    ] = None,
    part: Annotated[list[Part] | None, QueryParameter(description="Only this, and others that are named so.")] = None,
    step: StepName = None,
) -> Response[RunView]:
    """Return how a Run stands, its Steps, graph, timeline, story and output, of one moment and read once.

    `step` names the Step that story and output are to be about.
    """
    wanted = WantedView(parts=frozenset(part or _PARTS), nodes=nodes, spans=spans, lines=lines, step=step)
    return encoded_answer(await gateway.readers.read(lambda reader: _viewed(reader, caller, run_id, wanted)))


def _viewed(reader: Reader, caller: Caller, run_id: str, wanted: WantedView) -> bytes:
    seen = reader.look(found(reader, caller, run_id))
    fold = StepsFold.of(seen.rows, seen.trace, seen.running)
    views = list(fold.views())
    told: dict[str, Any] = {}
    if "steps" in wanted.parts:
        told["steps"] = _few(views, wanted.lines)
    if "graph" in wanted.parts:
        drawn = drawing_of(fold, views, nodes_max=wanted.nodes)
        told["graph"] = RunDrawn(drawn.nodes, drawn.edges)
    if "timeline" in wanted.parts:
        line = timeline(seen.rows, seen.trace, seen.running, spans_max=wanted.spans, fold=fold)
        told["timeline"], told["places"] = replace(line, id=run_id), places(line)
    if "story" in wanted.parts:
        sentences = story(seen.rows, seen.trace, wanted.step, reader.emitted(seen.info.uid))
        told["story"], told["story_left"] = _ends(sentences, wanted.lines)
    if "logs" in wanted.parts:
        told["logs"], told["logs_left"] = _ends(printed_of(seen, wanted.step), wanted.lines)
    return as_json(RunView(shown(caller, seen, fold, views), seen.at, seen.rows[-1].seq, **told))


def _few(views: list[StepView], most: int | None) -> list[StepView]:
    """Return the first Steps, and as many of the others that failed, and that run."""
    if most is None or len(views) <= most:
        return views
    rest = views[most:]
    failed = [view for view in rest if view.status == "failed"][:most]
    running = [view for view in rest if view.status == "running"][:most]
    return [*views[:most], *failed, *running]


def _ends(told: Sequence[T], most: int | None) -> tuple[list[T], int]:
    """Return the first and the last of what is told, and how many stand between them."""
    if most is None or len(told) <= most:
        return list(told), 0
    head = most // 2
    return [*told[:head], *told[head - most :]], len(told) - most


ROUTES = [view_run]
"""All of this module, under `/api/v1/runs`."""
