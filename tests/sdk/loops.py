"""Functions that run a loop of their own, and bodies that wait for one. Sandboxes import it by name."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import uvloop

from weftrun import function, workflow

level: contextvars.ContextVar[int] = contextvars.ContextVar("level", default=0)


async def slow(x: int) -> int:
    await asyncio.sleep(0.001)
    return x + level.get()


def by_run(x: int) -> int:
    return asyncio.run(slow(x))


def by_loop(x: int) -> int:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(slow(x))
    finally:
        loop.close()


def by_runner(x: int) -> int:
    with asyncio.Runner() as runner:
        return runner.run(slow(x)) + runner.run(slow(0)) - level.get()


def by_anyio(x: int) -> int:
    return anyio.run(slow, x)


def by_uvloop(x: int) -> int:
    return uvloop.run(slow(x))


def by_workflow(x: int) -> int:
    return asyncio.run(inner(x))


async def by_await(x: int) -> int:
    tasks = await asyncio.gather(slow(x), asyncio.to_thread(int))
    return tasks[0]


WAYS = (by_run, by_loop, by_runner, by_anyio, by_uvloop, by_workflow, by_await)
FUNCTIONS = {way.__name__: function(way, name=f"local_loops.{way.__name__}") for way in WAYS}


@function(name="local_loops.slower")
async def slower(x: int) -> int:
    return await slow(x)


@workflow
async def inner(x: int) -> int:
    return await slower.step(x)


@workflow
def wires(way: str, x: int) -> Any:
    return FUNCTIONS[way](x)


@workflow
async def watches(way: str, x: int) -> Any:
    return await FUNCTIONS[way].step(x)


@workflow
async def nests(way: str, x: int) -> Any:
    return [await watches.step(way, x), await wires.step(way, x)]


# ---------------------------------------------------------------------- waiting for a loop in a body


async def task() -> None:
    await asyncio.create_task(slow(1))


async def timeout() -> None:
    async with asyncio.timeout(1):
        await slower.step(1)


async def group() -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(slow(1))


async def bounded() -> None:
    await asyncio.wait_for(slow(1), 1)


async def gathered() -> None:
    await asyncio.gather(slow(1), slow(2))


@workflow
async def gathered_refs() -> None:
    await asyncio.gather(slower.step(1), slower.step(2))


async def contended() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    await lock.acquire()


async def completed() -> None:
    for one in asyncio.as_completed([slow(1)]):
        await one


WAITS: dict[str, Callable[[], Awaitable[Any]]] = {
    "event": lambda: asyncio.Event().wait(),
    "queue": lambda: asyncio.Queue[int]().get(),
    "condition": lambda: asyncio.Semaphore(0).acquire(),
    "lock": contended,
    "barrier": lambda: asyncio.Barrier(2).wait(),
    "sleep": lambda: asyncio.sleep(1),
    "sleep of no time": lambda: asyncio.sleep(0),
    "future": asyncio.Future[None],
    "task": task,
    "timeout": timeout,
    "group": group,
    "wait_for": bounded,
    "gather": gathered,
    "as_completed": completed,
    "thread": lambda: asyncio.to_thread(int),
    "process": lambda: asyncio.create_subprocess_exec("true"),
    "connection": lambda: asyncio.open_connection("127.0.0.1", 9),
    "anyio sleep": lambda: anyio.sleep(1),
    "anyio event": lambda: anyio.Event().wait(),
    "anyio thread": lambda: anyio.to_thread.run_sync(int),
}


@workflow
async def waits(what: str) -> Any:
    return await WAITS[what]()
