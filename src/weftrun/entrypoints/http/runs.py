"""Routes of Runs: start, look, result, cancel, retry, delete."""

from __future__ import annotations

from typing import Annotated, Any, Literal, cast
from urllib.parse import quote

import msgspec
from litestar import Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter
from msgspec import Meta, Struct
from msgspec.structs import replace

from weftrun.assembly import Reader
from weftrun.entrypoints.http.answers import RunAnswer, encoded_answer, json_answer, run_answer, value_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.encoding import as_json
from weftrun.entrypoints.http.finding import found
from weftrun.entrypoints.http.gateway import Gateway, WantedRun
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.listing import RunFilter, listed_runs
from weftrun.entrypoints.http.looks import SPANS_MAX, GraphShown, LookAsked, What
from weftrun.entrypoints.http.problems import Refusal, not_found, problems
from weftrun.model.errors import LimitExceeded, PolicyError, SignalRefused, UsageError
from weftrun.model.outcomes import Status
from weftrun.model.queues import QueueOptions
from weftrun.model.spans import parent_of
from weftrun.ports.journal import RunInfo
from weftrun.runtime.tickets import Ticket
from weftrun.sdk.queues import placed
from weftrun.sdk.waiting import Json, check_name
from weftrun.views.run import RunShown
from weftrun.views.step import StepView
from weftrun.views.story import Sentence
from weftrun.views.timeline import Timeline
from weftrun.views.trace import TextView

WAIT_S_MAX = 300.0
_PAGE_MAX = 1_000
_CURSOR_DIGITS_MAX = 18
_AT = "/api/v1/runs/"
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"}

LOOKED = problems(400, 404, 410, 422)
ASKED = LOOKED | problems(409, 424) | {200: ResponseSpec(RunAnswer, description="It has succeeded.")}
STARTED = (
    ASKED
    | problems(429)
    | {202: ResponseSpec(RunAnswer, description="It goes on; `Location` is where it can be looked at.")}
)
SIGNALLED = LOOKED | problems(409)
RESULT = LOOKED | problems(406, 409, 424) | {202: ResponseSpec(RunAnswer, description="It goes on.")}

Id = Annotated[str, PathParameter(description="Id of the Run.")]
WaitS = Annotated[
    float, QueryParameter(ge=0, le=WAIT_S_MAX, description="Wait so many seconds for the end of the Run.")
]
StepName = Annotated[str | None, QueryParameter(description="Only this Step, with its items or the calls of its body.")]


class StartRun(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A Run to be started. One of `workflow` and `function` names what is run.

    Attributes:
        app: that has it; may be left out where only one app has one of this name.
        args: an object of arguments by name, or an array of them by position.
        id: of the Run; the same id again is the same Run. The header `Idempotency-Key` says the same.
        wait_s: wait so many seconds for the value; then the Run goes on, and the answer is 202.
        durable: false for a Run that keeps no records: it is faster, ends with the server, and takes no id.
        queue: name of a queue that the Run is put into, to begin when there is a place; 429 where that is full.
        key: whose Run it is there; keys take turns.
        priority: 0 begins first, 9 last.
        delay_s: it begins so many seconds after the start, at the earliest.
        deduplicate: as long as a Run with this word has not ended, a start joins that one.
    """

    workflow: str | None = None
    function: str | None = None
    app: str | None = None
    args: dict[str, Any] | list[Any] = {}
    id: str | None = None
    wait_s: Annotated[float, Meta(ge=0, le=WAIT_S_MAX)] = 0.0
    durable: bool | None = None
    queue: str | None = None
    key: str | None = None
    priority: int | None = None
    delay_s: float | None = None
    deduplicate: str | None = None


class SendSignal(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A signal to a Run.

    Attributes:
        name: what the workflow waits for it by.
        value: read as the type that the workflow waits for.
        id: names the signal: the same one again is the same signal; empty draws one.
    """

    name: str
    value: Any = None
    id: Annotated[str, Meta(max_length=256)] = ""


class SignalSent(Struct, frozen=True):
    """A signal that is kept until it is taken.

    Attributes:
        note: that the Run waits for other signals only, where it does; else empty.
    """

    id: str
    signal: str
    note: str = ""


class RunListed(Struct, frozen=True):
    """A Run in a list. Times are seconds since the epoch.

    Attributes:
        waiting_for: what it stands still for, such as `code`.
        lives: how often it was begun: 1, and once more for each time it was retried.
    """

    id: str
    function: str
    status: Status
    started_at: float
    ended_at: float | None
    waiting_for: str | None
    lives: int


class RunPage(Struct, frozen=True):
    """Runs, newest first.

    Attributes:
        next: what to hand in as `after` for the next page; None on the last one.
    """

    runs: list[RunListed]
    next: str | None


def listed(caller: Caller, info: RunInfo) -> RunListed:
    """Return what a list tells of a Run."""
    return RunListed(
        caller.shown(info.id),
        info.function,
        info.status,
        info.started_at,
        info.ended_at,
        caller.told(info.waiting_for),
        info.lives,
    )


@post("/", summary="Start a Run, or join the one that has the id", responses=STARTED)
async def start(
    gateway: GatewayHere,
    caller: CallerHere,
    data: JSONBody[StartRun],
    idempotency_key: Annotated[
        str | None, HeaderParameter(name="Idempotency-Key", description="Id of the Run.")
    ] = None,
    traceparent: Annotated[
        str | None, HeaderParameter(description="Trace Context of the caller: its trace goes on in the Run.")
    ] = None,
) -> Response[RunAnswer]:
    """Start a Run of a Workflow or of a Function; with `wait_s` the answer may be its value."""
    name = data.workflow if data.function is None else data.function
    if name is None or (data.workflow is not None and data.function is not None):
        raise Refusal(422, "no-function", "Name what is to run: by `workflow` or by `function`, and not by both.")
    if None not in (data.id, idempotency_key) and data.id != idempotency_key:
        raise Refusal(422, "two-ids", f"`id` is {data.id!r}, and the header Idempotency-Key {idempotency_key!r}.")
    id = data.id if data.id is not None else idempotency_key
    # What is no context is passed by, as W3C has it.
    told = traceparent if traceparent is not None and parent_of(traceparent) is not None else ""
    wanted = WantedRun(data.app, name, msgspec.json.encode(data.args), id, data.durable, told, _asked(caller, data))
    return await answered(gateway, caller, await gateway.start(caller, wanted, data.wait_s), 0.0)


def _asked(caller: Caller, data: StartRun) -> QueueOptions | None:
    """Return what a start asks of a queue."""
    given = {name: getattr(data, name) for name in ("queue", "key", "priority", "delay_s", "deduplicate")}
    said = {name: value for name, value in given.items() if value is not None}
    try:
        asked = placed(said, None, str(data.function or data.workflow), "this request")
    except PolicyError as error:
        raise Refusal(422, "bad-queue", str(error)) from None
    if asked is None:
        return None
    return replace(asked, entry=replace(asked.entry, queue=caller.prefix + asked.entry.queue))


async def answered(gateway: Gateway, caller: Caller, ticket: Ticket, wait_s: float) -> Response[RunAnswer]:
    """Answer with the value of a Run, or with where it can be had."""
    id = caller.shown(ticket.id)
    headers = {"Location": _AT + quote(id, safe="")}
    if await gateway.ended(ticket, wait_s):
        return json_answer(run_answer(id, await gateway.answer(ticket), joined=ticket.joined), 200, headers)
    status, waiting_for = gateway.core.status(ticket)
    answer = RunAnswer(id, status, joined=ticket.joined, waiting_for=caller.told(waiting_for))
    return json_answer(answer, 202, headers)


@get("/", summary="List Runs, newest first", responses=LOOKED | problems(403))
async def list_runs(
    gateway: GatewayHere,
    caller: CallerHere,
    status: Annotated[Status | None, QueryParameter(description="Only those that stand so.")] = None,
    workflow: Annotated[
        str | None, QueryParameter(description="Only those of this Workflow or Function: its name, or `module:name`.")
    ] = None,
    id: Annotated[str, QueryParameter(description="Only those whose id begins so.")] = "",
    text: Annotated[
        str, QueryParameter(description="Only those that have it in their id, their Function or what they wait for.")
    ] = "",
    app: Annotated[str | None, QueryParameter(description="Only those of Functions of this app.")] = None,
    tenant: Annotated[str, QueryParameter(description="Only those of this tenant.")] = "",
    since: Annotated[float | None, QueryParameter(description="Started since then, in seconds since 1970.")] = None,
    until: Annotated[float | None, QueryParameter(description="Started until then, in seconds since 1970.")] = None,
    after: Annotated[str | None, QueryParameter(description="`next` of the page before.")] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=_PAGE_MAX, description="At most so many.")] = 100,
) -> Response[RunPage]:
    """Return a page of Runs; `next` is handed in as `after` for the one that follows.

    With `text`, `app`, `since` or `until` a page may have fewer Runs than there are, or none, and a `next`.
    """
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) <= _CURSOR_DIGITS_MAX):
        raise Refusal(422, "bad-cursor", f"after={after!r} is no cursor: take it from `next` of the page before.")
    functions = None
    if app is not None:
        functions = frozenset(each.function.name for each in gateway.apps.get(caller.tenant, app).functions.values())
    wanted = RunFilter(
        status=status,
        function=gateway.apps.recorded_name(caller.tenant, workflow) if workflow is not None else "",
        begins=id,
        text=text,
        since=since,
        until=until,
        functions=functions,
        tenant=tenant,
    )
    before = int(after) if after is not None else None
    infos, following = await gateway.readers.read(lambda reader: listed_runs(reader, caller, wanted, before, limit))
    page = [listed(caller, info) for info in infos]
    return json_answer(RunPage(page, None if following is None else str(following)))


@get("/{run_id:str}", summary="Show a Run", responses=LOOKED)
async def get_run(gateway: GatewayHere, caller: CallerHere, run_id: Id) -> Response[RunShown]:
    """Return how a Run stands; values are told by their previews."""
    return encoded_answer(await gateway.readers.look(LookAsked(what="run", run=run_id, caller=caller)))


@get("/{run_id:str}/result", summary="Get the value of a Run, and nothing else", responses=RESULT)
async def result(gateway: GatewayHere, caller: CallerHere, run_id: Id, wait_s: WaitS = 0.0) -> Response[Any]:
    """Return the value of a Run as JSON, or as bytes where it is bytes; 202 while it goes on."""
    ticket = await gateway.ticket(caller, run_id)
    if not await gateway.ended(ticket, wait_s):
        status, waiting_for = gateway.core.status(ticket)
        return json_answer(RunAnswer(run_id, status, waiting_for=caller.told(waiting_for)), 202, {"Retry-After": "1"})
    return value_answer(run_id, await gateway.answer(ticket))


@get("/{run_id:str}/steps", summary="List the Steps of a Run", responses=LOOKED)
async def list_steps(
    gateway: GatewayHere, caller: CallerHere, run_id: Id, step: StepName = None
) -> Response[list[StepView]]:
    """Return the Steps of a Run in the order of its graph; a map is one."""
    return encoded_answer(await gateway.readers.look(LookAsked(what="steps", run=run_id, caller=caller, step=step)))


@get("/{run_id:str}/logs", summary="Show what a Run printed", responses=LOOKED)
async def logs(gateway: GatewayHere, caller: CallerHere, run_id: Id, step: StepName = None) -> Response[list[TextView]]:
    """Return what the Attempts of a Run printed, in order, also those that run still."""
    return encoded_answer(await gateway.readers.look(LookAsked(what="logs", run=run_id, caller=caller, step=step)))


@get("/{run_id:str}/story", summary="Tell why each thing in a Run happened", responses=LOOKED)
async def tell_story(
    gateway: GatewayHere, caller: CallerHere, run_id: Id, step: StepName = None
) -> Response[list[Sentence]]:
    """Return what happened in a Run and why, a sentence per fact."""
    return encoded_answer(await gateway.readers.look(LookAsked(what="story", run=run_id, caller=caller, step=step)))


@get("/{run_id:str}/timeline", summary="Show when and where Steps ran", responses=LOOKED)
async def show_timeline(
    gateway: GatewayHere,
    caller: CallerHere,
    run_id: Id,
    format: Annotated[Literal["json", "html"], QueryParameter(description="`html` is a page of its own.")] = "json",
    spans: Annotated[
        int,
        QueryParameter(ge=1, le=SPANS_MAX, description="Over so many, short neighbours of a Function become one."),
    ] = SPANS_MAX,
) -> Response[Timeline]:
    """Return when and where Steps ran, as data or as a page."""
    what: What = "timeline" if format == "json" else "page"
    told = await gateway.readers.look(LookAsked(what=what, run=run_id, caller=caller, spans=spans))
    if format == "json":
        return encoded_answer(told)
    return Response(cast(Any, told), media_type="text/html; charset=utf-8", headers=_PAGE_HEADERS)


@get("/{run_id:str}/graph", summary="Draw the graph of a Run", responses=LOOKED)
async def show_graph(
    gateway: GatewayHere,
    caller: CallerHere,
    run_id: Id,
    nodes: Annotated[
        int, QueryParameter(ge=1, le=10_000, description="Over so many Steps, one node per Function.")
    ] = 200,
) -> Response[GraphShown]:
    """Return the graph of a Run, as data and as a Mermaid flowchart."""
    return encoded_answer(await gateway.readers.look(LookAsked(what="graph", run=run_id, caller=caller, nodes=nodes)))


@post("/{run_id:str}/cancel", status_code=202, summary="Ask for a Run to be cancelled", responses=ASKED)
async def cancel(gateway: GatewayHere, caller: CallerHere, run_id: Id) -> Response[RunAnswer]:
    """Ask for a Run to be cancelled: nothing new starts, and what runs is ended. One that has ended stays as it is."""
    ticket = await gateway.ticket(caller, run_id)
    gateway.core.cancel(ticket)
    return json_answer(RunAnswer(run_id, gateway.core.status(ticket)[0]), 202)


@post("/{run_id:str}/retry", status_code=202, summary="Run again what failed of a Run", responses=ASKED)
async def retry(gateway: GatewayHere, caller: CallerHere, run_id: Id, wait_s: WaitS = 0.0) -> Response[RunAnswer]:
    """Run again what failed of a Run; what succeeded is kept. With `wait_s` the answer may be its value."""
    ticket = await gateway.retry(caller, run_id)
    return await answered(gateway, caller, ticket, wait_s)


@post("/{run_id:str}/resume", status_code=202, summary="Go on with a Run", responses=ASKED)
async def resume(gateway: GatewayHere, caller: CallerHere, run_id: Id, wait_s: WaitS = 0.0) -> Response[RunAnswer]:
    """Take over a Run that no engine has, if it is one; with `wait_s` the answer may be its value."""
    ticket = await gateway.ticket(caller, run_id)
    return await answered(gateway, caller, ticket, wait_s)


@post("/{run_id:str}/signals", status_code=202, summary="Send a signal to a Run", responses=SIGNALLED)
async def send_signal(
    gateway: GatewayHere, caller: CallerHere, run_id: Id, data: JSONBody[SendSignal]
) -> Response[SignalSent]:
    """Send a signal, for `weftrun.signal(name, ...)` in the workflow: kept when this answers, and taken once.

    A value that is not of the type that the Run waits for is refused.
    """
    check_name(data.name)
    value = Json(as_json(data.value).decode())

    def done(reader: Reader) -> str:
        stored = found(reader, caller, run_id).id
        try:
            return reader.post_signal(stored, data.name, value, data.id, shown=run_id)
        except (LimitExceeded, SignalRefused):
            raise
        except UsageError:
            detail = f"Run {run_id!r} has ended: nobody waits for the signal {data.name!r}."
            raise Refusal(409, "run-ended", detail) from None

    return json_answer(SignalSent(run_id, data.name, await gateway.readers.read(done)), 202)


@delete("/{run_id:str}", opt={"scope": "admin"}, summary="Delete the records of a Run that has ended", responses=LOOKED)
async def delete_run(
    gateway: GatewayHere,
    caller: CallerHere,
    run_id: Id,
    forget: Annotated[bool, QueryParameter(description="Free the id too.")] = False,
) -> None:
    """Delete the records of a Run that has ended; its id stays taken unless it is forgotten."""
    id = caller.stored(run_id)

    def done(reader: Reader) -> None:
        info = reader.find(id)
        if info is None:
            raise not_found(run_id)
        if info.deleted and not forget:
            found(reader, caller, run_id)
        reader.delete(id, forget=forget)

    await gateway.readers.read(done)


ROUTES = [
    start,
    list_runs,
    get_run,
    result,
    list_steps,
    logs,
    tell_story,
    show_timeline,
    show_graph,
    cancel,
    retry,
    resume,
    send_signal,
    delete_run,
]
"""All of this module, under `/api/v1/runs`."""
