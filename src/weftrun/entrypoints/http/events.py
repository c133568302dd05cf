"""Server-sent events: what changes of one Run, and of all that are newest.

https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from functools import partial
from typing import Annotated, Any

from litestar import get
from litestar.params import HeaderParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage

from weftrun.assembly import Look, Reader
from weftrun.entrypoints.http.answers import failed, run_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.encoding import as_json
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, refusal_of
from weftrun.entrypoints.http.runs import LOOKED, Id, listed
from weftrun.model.ids import RunUid
from weftrun.ports.journal import RunInfo
from weftrun.runtime.tickets import Ticket
from weftrun.views.changes import Changes, Stands
from weftrun.views.progress import RunProgress
from weftrun.views.step import StepView
from weftrun.views.trace import TextView

_LOOK_S = 0.25
_LOOK_SHARE = 20
"""Between two looks passes at least this many times what a look takes, so that looking stays cheap in long Runs."""
_LIST_LOOK_S = 0.5
SILENCE_S = 15.0
"""After so long without news a comment is sent, so that nobody on the way takes the connection for dead."""
_STREAMS_MAX = 512
_NEWEST = 100
_NAMES = {Stands: "status", StepView: "step", RunProgress: "progress", TextView: "log"}
_LAST_EVENT = HeaderParameter(name="Last-Event-ID", description="Go on after this event.")

LastEventId = Annotated[str | None, _LAST_EVENT]


@get("/{run_id:str}/events", summary="Follow a Run", responses=LOOKED)
async def run_events(
    gateway: GatewayHere, caller: CallerHere, run_id: Id, last_event_id: LastEventId = None
) -> ServerSentEvent:
    """Stream what changes of a Run until it has ended.

    Events: `status`, `step` (a Step that stands otherwise than before), `progress`, `log` (text that was printed), and
    `end` with the value or the error, after which nothing comes. `Last-Event-ID` goes on where a stream ended.
    """
    ticket = await gateway.ticket(caller, run_id)
    return ServerSentEvent(counted(gateway, _of_run(gateway, caller, run_id, ticket, last_event_id or "")))


@get("/events", summary="Follow the list of Runs")
async def list_events(gateway: GatewayHere, caller: CallerHere) -> ServerSentEvent:
    """Stream the newest Runs, and then each that is started or stands otherwise than before, as events `run`."""
    return ServerSentEvent(counted(gateway, _of_list(gateway, caller)))


def counted(gateway: Gateway, stream: AsyncIterator[ServerSentEventMessage]) -> AsyncIterator[ServerSentEventMessage]:
    """Return a stream that is counted while it is open.

    Raises:
        Refusal: too many are open.
    """
    if gateway.streams >= _STREAMS_MAX:
        raise Refusal(429, "too-many-streams", "Too many streams are open; close one, or ask again later.")

    async def told() -> AsyncIterator[ServerSentEventMessage]:
        gateway.streams += 1
        try:
            async for message in stream:
                yield message
        finally:
            gateway.streams -= 1

    return told()


async def _of_run(
    gateway: Gateway, caller: Caller, run_id: str, ticket: Ticket, place: str
) -> AsyncIterator[ServerSentEventMessage]:
    changes = Changes(place)
    silent_since = gateway.loop.time()
    while not gateway.is_closing:
        began = gateway.loop.time()
        is_over = ticket.ended.is_open
        if is_over:
            await gateway.flush_trace()  # what was printed last is in it by then
        try:
            seen = await gateway.look(caller, run_id)
        except Refusal as error:  # it was deleted
            yield _message("end", refusal_of(error).problem, changes.place)
            return
        news = await gateway.readers.read(partial(_news, changes, seen))
        for left, (name, value) in zip(reversed(range(len(news))), news, strict=True):
            silent_since = gateway.loop.time()
            # Who has seen only a part of what is new goes on from where that began.
            yield _message(name, value, changes.place if left == 0 else "")
        if is_over:
            yield _message("end", await _ending(gateway, run_id, ticket), changes.place)
            return
        if gateway.loop.time() - silent_since > SILENCE_S:
            silent_since = gateway.loop.time()
            yield ServerSentEventMessage(data=None, comment="nothing new")
        await gateway.pause(max(_LOOK_S, _LOOK_SHARE * (gateway.loop.time() - began)), ticket)


def _news(changes: Changes, seen: Look, _: Reader) -> list[tuple[str, object]]:
    found = changes.news(
        Stands(seen.info.status, seen.info.waiting_for),
        seen.rows,
        seen.trace,
        seen.running,
        elapsed_s=(seen.info.ended_at or seen.at) - seen.info.started_at,
    )
    return [(_NAMES[type(change)], change) for change in found]


async def _ending(gateway: Gateway, run_id: str, ticket: Ticket) -> object:
    """Return the last event of a Run: as a start that waits for it is answered."""
    try:
        await gateway.ended(ticket, 0)
        answer = await gateway.answer(ticket)
        if answer.status != "succeeded":
            return failed(run_id, answer.status, answer.failure).problem
        return run_answer(run_id, answer, joined=False)
    except Exception as error:  # noqa: BLE001  # the head of the answer is sent: what is wrong is told in its body
        return refusal_of(error).problem


async def _of_list(gateway: Gateway, caller: Caller) -> AsyncIterator[ServerSentEventMessage]:
    known: dict[RunUid, RunInfo] = {}
    silent_since = gateway.loop.time()
    while not gateway.is_closing:
        is_open = [uid for uid, info in known.items() if info.ended_at is None]
        newest = await gateway.readers.read(lambda reader: reader.runs(prefix=caller.prefix, limit=_NEWEST))
        older = [uid for uid in is_open if uid not in {info.uid for info in newest}]
        rest = await gateway.readers.read(partial(_infos, older)) if older else []
        seen = {info.uid: info for info in [*rest, *reversed(newest)]}
        for uid, info in seen.items():
            before = known.get(uid)
            if before is None or listed(caller, before) != listed(caller, info):
                silent_since = gateway.loop.time()
                yield _message("run", listed(caller, info), "")
        known = seen
        if gateway.loop.time() - silent_since > SILENCE_S:
            silent_since = gateway.loop.time()
            yield ServerSentEventMessage(data=None, comment="nothing new")
        await gateway.pause(_LIST_LOOK_S)


def _infos(uids: Sequence[RunUid], reader: Reader) -> list[RunInfo]:
    return reader.infos(uids)


def _message(event: str, value: object, id: str) -> ServerSentEventMessage:
    return ServerSentEventMessage(data=as_json(value).decode(), event=event, id=id or None)


ROUTES: list[Any] = [run_events]
"""Of one Run, under `/api/v1/runs`."""
