"""The route of all that can be seen of a Run: what a page shows of it, of one moment and read once."""

from __future__ import annotations

from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter

from weftrun.entrypoints.http.answers import encoded_answer
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.looks import SPANS_MAX, LookAsked, Part, RunView
from weftrun.entrypoints.http.runs import LOOKED, Id, StepName

_PARTS: tuple[Part, ...] = ("steps", "graph", "timeline", "story", "logs")


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
    asked = LookAsked(
        what="view", run=run_id, caller=caller, step=step, nodes=nodes, spans=spans, lines=lines,
        parts=frozenset(part or _PARTS),
    )  # fmt: skip
    return encoded_answer(await gateway.readers.look(asked))


ROUTES = [view_run]
"""All of this module, under `/api/v1/runs`."""
