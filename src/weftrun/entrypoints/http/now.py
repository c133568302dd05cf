"""The route of what goes on: open Runs, what runs of them, and what the others wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from litestar import Response, get
from litestar.params import QueryParameter
from msgspec import Struct

from weftrun.assembly import Reader
from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import problems
from weftrun.model.emits import Emitted
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo
from weftrun.views.cluster import EngineView
from weftrun.views.running import OwnerView, RunningView, last_line

_RUNS_MAX = 500
_STEPS_MAX = 100
_LINE_MAX = 400
_EMITS_MAX = 50


class StepNow(Struct, frozen=True):
    """The body of an Attempt that runs, as its engine saw it when it looked last: about once a second.

    Attributes:
        entered_at: when the body was entered, in seconds since the epoch.
        sandbox: number of the Sandbox, in its engine.
        lives: False where that engine has ended since, so that the body runs no more.
        printed: the last line that it printed.
    """

    step: StepId
    attempt: int
    entered_at: float
    sandbox: int
    lives: bool
    printed: str


class RunNow(Struct, frozen=True):
    """An open Run. Times are seconds since the epoch.

    Attributes:
        waiting_for: what it stands still for: `code`, `sleep`, `signal NAME`; None where it does not.
        due_at: when it goes on by itself; None where it need not be waited for, or where nobody knows.
        owner: the engine that has it; None where none has.
        running: what runs of it, what was entered first at the head, at most 100.
        more: how many run beside these.
    """

    id: str
    function: str
    status: Status
    started_at: float
    waiting_for: str | None
    due_at: float | None
    owner: OwnerView | None
    running: list[StepNow]
    more: int


class EmitNow(Struct, frozen=True):
    """An emit that no sink has yet. Times are seconds since the epoch.

    Attributes:
        status: `waiting`, `unknown` (somebody must look) or `refused`.
        why: what went wrong the last time, where something did.
    """

    run: str
    step: StepId
    key: str
    sink: str
    status: str
    at: float
    why: str


class Now(Struct, frozen=True):
    """What goes on.

    Attributes:
        at: when this was read, in seconds since the epoch.
        runs: open Runs: those of which something runs first, then newest first.
        are_all: False where there are more than so many.
        undelivered: how many emits of these Runs no sink has yet, by sink.
        emits: the oldest emits of any Run that no sink has yet, at most 50.
        engines: that have not ended, with their Workers; told to those who see the whole Journal only.
        stands_still: what the engine that answers waits for before it can record anything, such as `disk`; else None.
    """

    at: float
    runs: list[RunNow]
    are_all: bool
    undelivered: dict[str, int]
    emits: list[EmitNow]
    engines: list[EngineView]
    stands_still: str | None


@get("/now", summary="Show what runs and what waits", responses=problems(400))
async def show_now(
    gateway: GatewayHere,
    caller: CallerHere,
    limit: Annotated[int, QueryParameter(ge=1, le=_RUNS_MAX, description="At most so many Runs.")] = 100,
) -> Response[Now]:
    """Return the open Runs, what runs of each now, and what it waits for."""
    stands_still = gateway.core.held_up_by
    return json_answer(await gateway.readers.read(lambda reader: _now(reader, caller, limit, stands_still)))


def _now(reader: Reader, caller: Caller, limit: int, stands_still: str | None) -> Now:
    infos = [
        info
        for status in ("running", "pending")
        for info in reader.runs(status=status, prefix=caller.prefix, limit=limit + 1)
    ]
    shown = infos[:limit]
    runs = [
        _run(caller, info, owner, running) for info, (owner, running) in zip(shown, reader.doing(shown), strict=True)
    ]
    undelivered: dict[str, int] = {}
    for counts in reader.emits_left([info.uid for info in shown]).values():
        for sink, count in counts.items():
            undelivered[sink] = undelivered.get(sink, 0) + count
    runs.sort(key=lambda run: not run.running)
    emits = [_emit(caller, emit) for emit in reader.undelivered(_EMITS_MAX) if emit.run.startswith(caller.prefix)]
    engines = reader.engines() if not caller.tenant else []
    return Now(reader.now(), runs, len(infos) <= limit, undelivered, emits, engines, stands_still)


def _emit(caller: Caller, emit: Emitted) -> EmitNow:
    status = emit.delivery_status.name.lower()
    return EmitNow(caller.shown(emit.run), emit.step, emit.key, emit.sink, status, emit.at, emit.why)


def _run(caller: Caller, info: RunInfo, owner: OwnerView | None, running: Sequence[RunningView]) -> RunNow:
    return RunNow(
        caller.shown(info.id),
        info.function,
        info.status,
        info.started_at,
        caller.told(info.waiting_for),
        info.goes_on_at,
        owner,
        [_step(view) for view in running[:_STEPS_MAX]],
        max(0, len(running) - _STEPS_MAX),
    )


def _step(view: RunningView) -> StepNow:
    return StepNow(
        view.step, view.attempt, view.entered_at, view.sandbox, view.lives, last_line(view.printed)[:_LINE_MAX]
    )


ROUTES = [show_now]
"""All of this module, under `/api/v1`."""
