"""Routes of schedules: list, create, show, pause, resume, trigger, delete."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import quote

import msgspec
from litestar import Response, delete, get, post
from litestar.openapi import ResponseSpec
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from weftrun.assembly import check_timetable, times_of
from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, problems
from weftrun.model.errors import LimitExceeded, RunNotFound
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.schedules import CatchUp, KeptSchedule, Timetable
from weftrun.model.values import Inline, Payload
from weftrun.sdk.schedules import Change, check_schedule_id

_AT = "/api/v1/schedules/"
_NEXT = 3
LOOKED = problems(400, 404, 422)
Id = Annotated[str, PathParameter(description="Id of the schedule.")]


class ScheduleShown(Struct, frozen=True):
    """A schedule.

    Attributes:
        workflow: name of what it starts, as its Runs have it in lists.
        next: its next times, in seconds since the epoch; none where it is paused.
        last: the last time for which a Run was started.
        fault: why the last Run could not be started; empty where it was.
    """

    id: str
    workflow: str
    cron: str | None
    every_s: int | None
    timezone: str
    catch_up: CatchUp
    catch_up_max: int
    jitter_s: float
    status: Literal["active", "paused"]
    next: list[float]
    last: float | None
    fault: str


class Triggered(Struct, frozen=True):
    """A schedule that was triggered.

    Attributes:
        id: of the schedule.
        run: id of the Run that an engine starts for it within a few seconds.
    """

    id: str
    run: str


class CreateSchedule(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A schedule to be created. One of `workflow` and `function`, and one of `cron` and `every_s`, are given.

    Attributes:
        id: letters, digits, `_`, `.` and `-`; its Runs are `ID@2026-11-30T03:00:00Z`.
        app: that has what is started; may be left out where only one app has one of this name.
        args: an object of arguments by name, or an array of them by position.
        cron: five fields, or six with seconds first; or `@daily`.
        every_s: interval in whole seconds.
        catch_up: what becomes of times that came while no engine was open.
        catch_up_max: with `all`, at most the last so many.
        jitter_s: each start is put off by a share of so many seconds.
    """

    id: Annotated[str, Meta(max_length=100)]
    workflow: str | None = None
    function: str | None = None
    app: str | None = None
    args: dict[str, Any] | list[Any] = {}
    cron: str | None = None
    every_s: Annotated[int, Meta(ge=1, le=2**40)] | None = None
    timezone: str = "UTC"
    catch_up: CatchUp = "latest"
    catch_up_max: Annotated[int, Meta(ge=1, le=1_000)] = 100
    jitter_s: Annotated[float, Meta(ge=0, le=1e6)] = 0.0


def _shown(caller: Caller, kept: KeptSchedule) -> ScheduleShown:
    when = kept.when
    return ScheduleShown(
        caller.shown(kept.id),
        kept.function.name,
        when.cron or None,
        when.every_s or None,
        when.timezone,
        when.catch_up,
        when.catch_up_max,
        when.jitter_s,
        "paused" if kept.is_paused else "active",
        times_of(kept, _NEXT),
        kept.last_at,
        kept.fault,
    )


async def _kept(gateway: Gateway, caller: Caller, id: str) -> KeptSchedule:
    try:
        return await asyncio.to_thread(gateway.core.schedule, caller.prefix + check_schedule_id(id))
    except RunNotFound:
        raise _not_there(id) from None


def _not_there(id: str) -> Refusal:
    return Refusal(404, "schedule-not-found", f"There is no schedule {id!r}.")


@get("/", summary="List schedules")
async def list_schedules(gateway: GatewayHere, caller: CallerHere) -> Response[list[ScheduleShown]]:
    """Return all schedules by their ids, with the next times of each."""
    found = await asyncio.to_thread(gateway.core.schedules)
    return json_answer([_shown(caller, kept) for kept in found if kept.id.startswith(caller.prefix)])


@post(
    "/",
    summary="Create a schedule, or give the one with this id another definition",
    responses=LOOKED | {201: ResponseSpec(ScheduleShown, description="It is there.")},
)
async def create_schedule(
    gateway: GatewayHere, caller: CallerHere, data: JSONBody[CreateSchedule]
) -> Response[ScheduleShown]:
    """Let Runs of a Workflow or a Function start by themselves; any engine on the Journal starts them, each once."""
    id = check_schedule_id(data.id)
    name = data.workflow if data.function is None else data.function
    if name is None or (data.workflow is not None and data.function is not None):
        raise Refusal(422, "no-function", "Name what is started: by `workflow` or by `function`, and not by both.")
    if (data.cron is None) == (data.every_s is None):
        raise Refusal(422, "no-times", "Say when it is due: by `cron` or by `every_s`, and not by both.")
    timetable = Timetable(
        data.cron or "", data.every_s or 0, data.timezone, data.catch_up, data.catch_up_max, data.jitter_s
    )
    when = await asyncio.to_thread(check_timetable, timetable)
    app, described = gateway.apps.find(caller.tenant, data.app, name)
    bound = await gateway.bound(app, name, msgspec.json.encode(data.args), compares=True)
    if len(bound.data) > DEFAULT_LIMITS.inline_bytes_max:
        raise LimitExceeded(
            f"The arguments of the schedule {id!r} have {len(bound.data):,} bytes, more than may be kept with one "
            f"({DEFAULT_LIMITS.inline_bytes_max:,}). Say where they are to be found."
        )
    digest = bound.digests[0] if bound.digests else ""
    payload = Payload(Inline(bound.data))
    wanted = KeptSchedule(caller.prefix + id, "", when, described.function, app.bundle, payload, digest, 0.0, 0.0, None)
    made = await asyncio.to_thread(gateway.core.put_schedule, wanted)
    return json_answer(_shown(caller, made), 201, {"Location": _AT + quote(id, safe="")})


@get("/{schedule_id:str}", summary="Show a schedule", responses=LOOKED)
async def get_schedule(gateway: GatewayHere, caller: CallerHere, schedule_id: Id) -> Response[ScheduleShown]:
    """Return a schedule and its next times."""
    return json_answer(_shown(caller, await _kept(gateway, caller, schedule_id)))


async def _changed(gateway: Gateway, caller: Caller, id: str, change: Change) -> Response[ScheduleShown]:
    kept = await _kept(gateway, caller, id)
    try:
        await asyncio.to_thread(gateway.core.change_schedule, kept.id, change)
    except RunNotFound:  # it was deleted meanwhile
        raise _not_there(id) from None
    return json_answer(_shown(caller, await _kept(gateway, caller, id)))


@post("/{schedule_id:str}/pause", summary="Pause a schedule", status_code=200, responses=LOOKED)
async def pause_schedule(gateway: GatewayHere, caller: CallerHere, schedule_id: Id) -> Response[ScheduleShown]:
    """Let a schedule start nothing until it is resumed."""
    return await _changed(gateway, caller, schedule_id, "pause")


@post("/{schedule_id:str}/resume", summary="Resume a schedule", status_code=200, responses=LOOKED)
async def resume_schedule(gateway: GatewayHere, caller: CallerHere, schedule_id: Id) -> Response[ScheduleShown]:
    """Let a schedule go on; times that came meanwhile are not made up for."""
    return await _changed(gateway, caller, schedule_id, "resume")


@post("/{schedule_id:str}/trigger", summary="Start a Run beside the times", status_code=200, responses=LOOKED)
async def trigger_schedule(gateway: GatewayHere, caller: CallerHere, schedule_id: Id) -> Response[Triggered]:
    """Let a schedule start a Run of its own now, beside its times, and say its id."""
    kept = await _kept(gateway, caller, schedule_id)
    try:
        run = await asyncio.to_thread(gateway.core.trigger_schedule, kept.id)
    except RunNotFound:  # it was deleted meanwhile
        raise _not_there(schedule_id) from None
    return json_answer(Triggered(caller.shown(kept.id), caller.shown(run)))


@delete("/{schedule_id:str}", summary="Delete a schedule", status_code=204, responses=LOOKED)
async def delete_schedule(gateway: GatewayHere, caller: CallerHere, schedule_id: Id) -> None:
    """Delete a schedule; Runs that it has started go on."""
    kept = await _kept(gateway, caller, schedule_id)
    try:
        await asyncio.to_thread(gateway.core.change_schedule, kept.id, "delete")
    except RunNotFound:
        raise _not_there(schedule_id) from None


ROUTES = [
    list_schedules, create_schedule, get_schedule, pause_schedule, resume_schedule, trigger_schedule, delete_schedule,
]  # fmt: skip
