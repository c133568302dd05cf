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
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo
from weftrun.views.running import OwnerView, RunningView, last_line

_RUNS_MAX = 500
_STEPS_MAX = 100
_LINE_MAX = 400


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


class Now(Struct, frozen=True):
    """What goes on.

    Attributes:
        at: when this was read, in seconds since the epoch.
        runs: open Runs: those of which something runs first, then newest first.
        are_all: False where there are more than so many.
        undelivered: how many emits of these Runs no sink has yet, by sink.
    """

    at: float
    runs: list[RunNow]
    are_all: bool
    undelivered: dict[str, int]


@get("/now", summary="Show what runs and what waits", responses=problems(400))
async def show_now(
    gateway: GatewayHere,
    caller: CallerHere,
    limit: Annotated[int, QueryParameter(ge=1, le=_RUNS_MAX, description="At most so many Runs.")] = 100,
) -> Response[Now]:
    """Return the open Runs, what runs of each now, and what it waits for."""
    return json_answer(await gateway.readers.read(lambda reader: _now(reader, caller, limit)))


def _now(reader: Reader, caller: Caller, limit: int) -> Now:
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
    return Now(reader.now(), runs, len(infos) <= limit, undelivered)


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
