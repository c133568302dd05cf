"""Workflows that publish events."""

from __future__ import annotations

import socket

import weftrun
from weftrun import function, workflow


@function
def square(n: int) -> int:
    return n * n


@workflow
async def reports() -> str:
    weftrun.publish("stage", {"name": "begin"})
    weftrun.publish("progress", 0.0)
    await square.step(2)
    await weftrun.publish("progress", 0.5)
    await weftrun.signal("go")
    weftrun.publish("progress", 1.0)
    return "done"


@workflow
async def waits() -> None:
    await weftrun.publish("progress", 0.0)
    await weftrun.signal("go")
    weftrun.publish("progress", 1.0)


@workflow
async def quick() -> int:
    weftrun.publish("progress", 0.5)
    await weftrun.publish("progress", 1)
    return await square.step(2)


@workflow
async def wrong(what: str) -> None:
    if what == "large":
        weftrun.publish("progress", "x" * 100_000)
    elif what == "socket":
        with socket.socket() as open_socket:
            weftrun.publish("progress", open_socket)
    else:
        weftrun.publish("progress", square.step(2))
