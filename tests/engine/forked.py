"""Workflows whose Steps write down that they were entered, and with which key."""

from __future__ import annotations

import time
from pathlib import Path

import weftrun
from weftrun import current, function, workflow


def enter(folder: str) -> None:
    with (Path(folder) / "ledger").open("a") as file:
        file.write(f"{current().step_id}\n")


@function
def large(n: int, folder: str) -> bytes:
    enter(folder)
    return b"x" * n


@function
def drawn(x: float, folder: str) -> float:
    enter(folder)
    current().emit("post", {"drawn": x})
    return x


@function
def size(data: bytes, more: int, folder: str) -> int:
    enter(folder)
    if (Path(folder) / "kill").exists():
        (Path(folder) / "kill").rename(Path(folder) / "reached")
        time.sleep(60)
    return len(data) + more


@workflow
def wired(n: int, more: int, folder: str) -> int:
    return size(large(n, folder), more, folder)


@workflow
async def watched(n: int, more: int, folder: str) -> tuple[int, float]:
    data = large(n, folder)
    at = weftrun.now()
    first = await drawn.step(weftrun.random().random() + at, folder)
    await weftrun.sleep(0.01)
    return await size.step(data, more, folder), first
