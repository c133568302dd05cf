"""Routes that do something with many Runs at once, and one that forks a Run."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, post
from litestar.params import JSONBody
from msgspec import Meta, Struct

from weftrun.entrypoints.http.answers import RunAnswer, json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.listing import RunFilter, listed_runs
from weftrun.entrypoints.http.problems import Refusal, problems, refusal_of
from weftrun.entrypoints.http.runs import ASKED, WAIT_S_MAX, Id, answered
from weftrun.model.errors import WeftrunError
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo

_AT_ONCE_MAX = 1_000
_FAILURES_MAX = 20


class ForkRun(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a Run is to be forked.

    Attributes:
        step: the first Step that runs anew; those called before it are reused.
        id: of the new Run; asked for again, it is the same fork. None draws one.
        args: its arguments, all of them, by name or by position; None for those of the Run that is forked.
        force: also where what is reused may have been undone after a failure.
        wait_s: wait so many seconds for the value.
    """

    step: str
    id: str | None = None
    args: dict[str, Any] | list[Any] | None = None
    force: bool = False
    wait_s: Annotated[float, Meta(ge=0, le=WAIT_S_MAX)] = 0.0


@post(
    "/{run_id:str}/fork", status_code=202, summary="Start a Run that reuses what another had settled", responses=ASKED
)
async def fork_run(
    gateway: GatewayHere, caller: CallerHere, run_id: Id, data: JSONBody[ForkRun]
) -> Response[RunAnswer]:
    """Start another Run that has what a Run had settled before a Step, and runs the rest with the code of now."""
    arguments = None if data.args is None else msgspec.json.encode(data.args)
    ticket = await gateway.fork(caller, run_id, data.step, data.id, arguments, force=data.force)
    return await answered(gateway, caller, ticket, data.wait_s)


class BulkAction(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be done with which Runs. At least one filter is given.

    Attributes:
        action: what is done: open Runs are cancelled; those that failed or were cancelled are retried.
        status, workflow, id, text, tenant, since, until: as in the list of Runs.
        after: `next` of the answer before.
        dry_run: only count them.
    """

    action: Literal["cancel", "retry"]
    status: Status | None = None
    workflow: str = ""
    id: str = ""
    text: str = ""
    tenant: str = ""
    since: float | None = None
    until: float | None = None
    after: int | None = None
    dry_run: bool = False


class BulkFailure(Struct, frozen=True):
    """A Run with which it could not be done, and why."""

    id: str
    why: str


class BulkDone(Struct, frozen=True):
    """What became of an action on many Runs.

    Attributes:
        runs: how many were meant and stood so that it could be done.
        done: with how many it was done, or asked for.
        failures: why not with the others, of the first 20.
        next: where there are more, what to hand in as `after`.
    """

    runs: int
    done: int
    failures: list[BulkFailure]
    next: int | None


@post("/bulk", status_code=200, summary="Cancel or retry many Runs", responses=problems(400, 403, 422))
async def act_on_runs(gateway: GatewayHere, caller: CallerHere, data: JSONBody[BulkAction]) -> Response[BulkDone]:
    """Cancel, or retry, the Runs that filters choose: of the newest 1,000 that match; `next` goes on behind them."""
    function = gateway.apps.recorded_name(caller.tenant, data.workflow) if data.workflow else ""
    wanted = RunFilter(
        status=data.status, function=function, begins=data.id, text=data.text, tenant=data.tenant, since=data.since,
        until=data.until,
    )  # fmt: skip
    if wanted == RunFilter():
        raise Refusal(
            422, "no-filter", "Say which Runs are meant: give `status`, `workflow`, `id`, `text`, `tenant` or a time."
        )
    infos, following = await gateway.readers.read(
        lambda reader: listed_runs(reader, caller, wanted, data.after, _AT_ONCE_MAX)
    )
    meant = [info for info in infos if _can(info, data.action)]
    if data.dry_run:
        return json_answer(BulkDone(len(meant), 0, [], following))
    if data.action == "cancel":
        await gateway.readers.read(lambda reader: reader.post_cancels([info.uid for info in meant]))
        return json_answer(BulkDone(len(meant), len(meant), [], following))
    failures = await _retried(gateway, caller, meant)
    return json_answer(BulkDone(len(meant), len(meant) - len(failures), failures[:_FAILURES_MAX], following))


def _can(info: RunInfo, action: str) -> bool:
    return info.ended_at is None if action == "cancel" else info.can_be_retried


async def _retried(gateway: Gateway, caller: Caller, infos: list[RunInfo]) -> list[BulkFailure]:
    """Retry Runs, a few at a time, and return those that could not be retried."""
    few = asyncio.Semaphore(8)

    async def retry(info: RunInfo) -> BulkFailure | None:
        id = caller.shown(info.id)
        async with few:
            try:
                await gateway.retry(caller, id)
            except (WeftrunError, Refusal) as error:
                return BulkFailure(id, refusal_of(error).problem.detail)
        return None

    return [failure for failure in await asyncio.gather(*map(retry, infos)) if failure is not None]


ROUTES: list[Any] = [fork_run, act_on_runs]
"""All of this module, under `/api/v1/runs`."""
