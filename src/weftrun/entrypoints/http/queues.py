"""Routes of queues: list, show, set limits, pause, resume."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Literal

from litestar import Response, get, post, put
from litestar.params import JSONBody, PathParameter
from msgspec import Meta, Struct

from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import Refusal, problems
from weftrun.model.errors import RunNotFound
from weftrun.model.queues import QueueCounts
from weftrun.runtime.queues import QueueBook
from weftrun.sdk.queues import check_queue_name, limits_of

LOOKED = problems(400, 404, 422)
Name = Annotated[str, PathParameter(description="Name of the queue.")]
Limit = Annotated[int, Meta(ge=1, lt=2**31)]


class QueueShown(Struct, frozen=True):
    """A queue; null is no limit.

    Attributes:
        waiting, delayed, under_way: Runs that wait for their place, that are not due yet, and that have left it.
        rate: `[50, 1.0]`: at most 50 Runs begin within any second.
    """

    name: str
    status: Literal["active", "paused"]
    waiting: int
    delayed: int
    under_way: int
    concurrency: int | None
    per_key: int | None
    rate: tuple[int, float] | None
    length_max: int | None


class SetQueue(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All limits of a queue; what is left out is not limited."""

    concurrency: Limit | None = None
    per_key: Limit | None = None
    rate: tuple[int, float] | None = None
    length_max: Limit | None = None


def _shown(caller: Caller, counts: QueueCounts) -> QueueShown:
    queue, limits = counts.queue, counts.queue.limits
    return QueueShown(
        caller.shown(queue.name),
        "paused" if queue.is_paused else "active",
        counts.waiting,
        counts.delayed,
        counts.under_way,
        limits.concurrency,
        limits.per_key,
        None if limits.rate is None else (limits.rate.starts, limits.rate.per_s),
        limits.length_max,
    )


async def _changed(
    gateway: Gateway, caller: Caller, name: str, change: Callable[[QueueBook, str], object]
) -> Response[QueueShown]:
    """Answer with a queue after a change of it."""
    stored = caller.prefix + check_queue_name(name)

    def work(book: QueueBook) -> QueueCounts:
        change(book, stored)
        return book.get(stored)

    try:
        counts = await asyncio.to_thread(gateway.core.on_queues, work)
    except RunNotFound:
        raise Refusal(404, "queue-not-found", f"There is no queue {name!r}.") from None
    return json_answer(_shown(caller, counts))


@get("/", summary="List queues")
async def list_queues(gateway: GatewayHere, caller: CallerHere) -> Response[list[QueueShown]]:
    """Return all queues by their names, with how many Runs wait in each and are under way."""
    found = await asyncio.to_thread(gateway.core.on_queues, lambda book: book.all())
    return json_answer([_shown(caller, counts) for counts in found if counts.queue.name.startswith(caller.prefix)])


@get("/{name:str}", summary="Show a queue", responses=LOOKED)
async def get_queue(gateway: GatewayHere, caller: CallerHere, name: Name) -> Response[QueueShown]:
    """Return a queue, with what is in it."""
    return await _changed(gateway, caller, name, lambda _book, _name: None)


@put("/{name:str}", summary="Make a queue, or set its limits", responses=LOOKED)
async def set_queue(
    gateway: GatewayHere, caller: CallerHere, name: Name, data: JSONBody[SetQueue]
) -> Response[QueueShown]:
    """Give a queue these limits; nothing that is under way is ended."""
    changes = {name: getattr(data, name) for name in data.__struct_fields__}
    limits = limits_of(changes)
    checked = {name: getattr(limits, name) for name in changes}
    return await _changed(gateway, caller, name, lambda book, stored: book.set(stored, checked, makes=True))


@post("/{name:str}/pause", summary="Pause a queue", status_code=200, responses=LOOKED)
async def pause_queue(gateway: GatewayHere, caller: CallerHere, name: Name) -> Response[QueueShown]:
    """Let nothing leave a queue; what is under way goes on."""
    return await _changed(gateway, caller, name, lambda book, stored: book.pause(stored, paused=True))


@post("/{name:str}/resume", summary="Resume a queue", status_code=200, responses=LOOKED)
async def resume_queue(gateway: GatewayHere, caller: CallerHere, name: Name) -> Response[QueueShown]:
    """Let a queue go on that was paused."""
    return await _changed(gateway, caller, name, lambda book, stored: book.pause(stored, paused=False))


ROUTES = [list_queues, get_queue, set_queue, pause_queue, resume_queue]
