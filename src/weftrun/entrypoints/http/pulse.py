"""Server-sent events for those who watch a Run closely: that something changed, and what the newest records say.

Each look reads what is new and nothing else, so that watching a long Run costs as little as watching a short one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any

from litestar import get
from litestar.params import QueryParameter
from litestar.response import ServerSentEvent, ServerSentEventMessage
from msgspec import Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.encoding import as_json
from weftrun.entrypoints.http.events import SILENCE_S, counted
from weftrun.entrypoints.http.finding import found
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, refusal_of
from weftrun.entrypoints.http.runs import LOOKED, Id
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.ports.journal import RunInfo
from weftrun.views.pulse import StepPulse, step_pulses

_LOOK_S = 0.06
_BUSY_LOOK_S = 0.12
"""Of a Run of which very many Steps settle: each look costs the engine, and the page, some of their time."""
_BUSY_STEPS = 20
_ENDED_LOOK_S = 1.0
"""Of a Run that has ended, only another life, or that it is deleted, can be new."""
_ROWS_MAX = 500
_STEPS_MAX = 2_000


class Pulse(Struct, frozen=True):
    """Something changed of a Run.

    Attributes:
        at: when this was read, in seconds since the epoch.
        rows: how many rows the Run has; hand it in as `after` to be told of later ones only.
        lives: how often it was begun.
        steps: of which the rows tell that came since; of very many the last 2,000.
    """

    at: float
    rows: int
    status: Status
    waiting_for: str | None
    lives: int
    steps: list[StepPulse]


@get("/{run_id:str}/pulse", summary="Watch a Run closely", responses=LOOKED)
async def run_pulse(
    gateway: GatewayHere,
    caller: CallerHere,
    run_id: Id,
    after: Annotated[int, QueryParameter(ge=0, description="Rows of it that are known already.")] = 0,
) -> ServerSentEvent:
    """Stream an event `pulse` whenever anything of a Run has changed; `gone` when it was deleted, and nothing after.

    An event tells of the Steps that have settled since the one before, and not what follows from that: for all of it,
    ask for the Run's `view`. The stream goes on after the end of the Run, which may be retried.
    """
    await gateway.readers.read(lambda reader: found(reader, caller, run_id))
    return ServerSentEvent(counted(gateway, _pulses(gateway, caller, run_id, after)))


async def _pulses(gateway: Gateway, caller: Caller, run_id: str, after: int) -> AsyncIterator[ServerSentEventMessage]:
    watch = _Watching(caller, run_id, after)
    silent_since = gateway.loop.time()
    while not gateway.is_closing:
        try:
            told = await gateway.readers.read(watch.look)
        except Refusal as error:  # it was deleted
            yield ServerSentEventMessage(data=as_json(refusal_of(error).problem).decode(), event="gone")
            return
        if told is not None:
            silent_since = gateway.loop.time()
            yield ServerSentEventMessage(data=as_json(told).decode(), event="pulse")
        elif gateway.loop.time() - silent_since > SILENCE_S:
            silent_since = gateway.loop.time()
            yield ServerSentEventMessage(data=None, comment="nothing new")
        is_busy = told is not None and len(told.steps) > _BUSY_STEPS
        await gateway.pause(_ENDED_LOOK_S if watch.has_ended else _BUSY_LOOK_S if is_busy else _LOOK_S)


class _Watching:
    """What somebody who watches a Run knows of it."""

    def __init__(self, caller: Caller, run_id: str, rows: int) -> None:
        self._caller = caller
        self._run_id = run_id
        self._rows = rows
        self._known: object = None
        self.has_ended = False

    def look(self, reader: Reader) -> Pulse | None:
        """Return what is new; None where nothing is."""
        info = found(reader, self._caller, self._run_id)
        rows = reader.newer(info.uid, self._rows, _ROWS_MAX)
        self._rows = rows[-1].seq if rows else self._rows
        self.has_ended = info.ended_at is not None
        stands = (info.status, info.waiting_for, info.lives, info.owner, reader.seen_of(info))
        if stands == self._known and not rows:
            return None
        self._known = stands
        return self._pulse(reader, info, rows)

    def _pulse(self, reader: Reader, info: RunInfo, rows: Sequence[Row]) -> Pulse:
        waiting_for = self._caller.told(info.waiting_for)
        return Pulse(
            reader.now(), self._rows, info.status, waiting_for, info.lives, list(step_pulses(rows))[-_STEPS_MAX:]
        )


ROUTES: list[Any] = [run_pulse]
"""All of this module, under `/api/v1/runs`."""
