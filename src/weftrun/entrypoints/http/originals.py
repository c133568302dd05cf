"""The doors of FaaSFlow and FaaSBatch on the gateway: `POST /run`, `POST /clear`, `GET /info`, with what they lack.

Theirs take no inputs and give no outputs, run a repeated request again, and clear data that others still use. Here
`request_id` is the id of a Run.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from litestar import Response, Router, get, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.http.answers import json_answer, run_answer
from weftrun.entrypoints.http.finding import found
from weftrun.entrypoints.http.gateway import WantedRun
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, not_found, problems

_WAIT_S_MAX = 300.0


class RequestAsked(Struct, frozen=True, kw_only=True):
    """A call of a workflow.

    Attributes:
        workflow: a Workflow, or a Function, of an app.
        request_id: id of the Run; the same one again is the same Run.
        inputs: arguments by name, or by position.
        wait_s: the answer is awaited for so many seconds.
    """

    workflow: str
    request_id: str | None = None
    inputs: dict[str, Any] | list[Any] = {}
    wait_s: Annotated[float, Meta(ge=0, le=_WAIT_S_MAX)] = _WAIT_S_MAX


class RequestAnswered(Struct, frozen=True, omit_defaults=True):
    """What a workflow gave.

    Attributes:
        latency: from the request to the answer, in seconds.
        outputs: its value as JSON.
    """

    status: str
    latency: float
    request_id: str
    outputs: Any = msgspec.UNSET


class RequestCleared(Struct, frozen=True, kw_only=True):
    """A request whose records are not needed any more."""

    request_id: str
    workflow_name: str = ""


class EngineCounts(Struct, frozen=True):
    """How the engine stands: open Runs, Batches and Attempts so far, and Sandboxes that were made for what waited."""

    runs_open: int
    batches: int
    attempts: int
    cold_starts: int


@post(
    "/run", status_code=200, summary="Run a workflow and wait for it", responses=problems(404, 409, 422, 424, 429, 504)
)
async def run(gateway: GatewayHere, caller: CallerHere, data: JSONBody[RequestAsked]) -> Response[RequestAnswered]:
    """Run a workflow, or join the Run that has the id, and answer with what it gave."""
    began = gateway.loop.time()
    wanted = WantedRun(None, data.workflow, msgspec.json.encode(data.inputs), data.request_id)
    ticket = await gateway.start(caller, wanted, data.wait_s)
    id = caller.shown(ticket.id)
    if not await gateway.ended(ticket, 0.0):
        detail = f"The request {id} goes on; ask again under the same request_id."
        raise Refusal(504, "goes-on", detail, headers={"Retry-After": "1"}, run=id)
    answer = run_answer(id, await gateway.answer(ticket), joined=ticket.joined)
    return json_answer(RequestAnswered("ok", gateway.loop.time() - began, id, answer.result))


@post("/clear", status_code=200, opt={"scope": "admin"}, summary="Delete a request", responses=problems(404, 409, 422))
async def clear(gateway: GatewayHere, caller: CallerHere, data: JSONBody[RequestCleared]) -> Response[dict[str, str]]:
    """Delete the records of a request that has ended, and free its id."""
    id = caller.stored(data.request_id)

    def done(reader: Reader) -> None:
        if reader.find(id) is None:
            raise not_found(data.request_id)
        found(reader, caller, data.request_id)
        reader.delete(id, forget=True)

    await gateway.readers.read(done)
    return json_answer({"status": "ok"})


@get("/info", summary="Tell how the engine stands", responses=problems(403))
async def info(gateway: GatewayHere, caller: CallerHere) -> Response[EngineCounts]:
    """Return counts of the whole engine; they are for no tenant."""
    if caller.tenant:
        raise Refusal(403, "not-a-tenants", "These are the whole server's: a token without a tenant may see them.")
    counts = gateway.core.batches
    return json_answer(EngineCounts(gateway.core.owned(), counts.batches, counts.attempts, counts.cold_starts))


def originals_router() -> Router:
    """Return the routes."""
    return Router("/", route_handlers=[run, clear, info])
