"""Workflows that wait for times and for signals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import weftrun
from weftrun import function, workflow


@dataclass
class Verdict:
    approved: bool
    notes: str = ""


@function
def note(ledger: str, what: str) -> str:
    with Path(ledger).open("a") as file:
        file.write(what + "\n")
    return what


@workflow
async def approval(ledger: str, timeout_s: float | None = None) -> str:
    await note.step(ledger, "draft")
    try:
        verdict = await weftrun.signal("verdict", Verdict, timeout_s=timeout_s)
    except TimeoutError as error:
        return f"late: {error}"
    if not verdict.approved:
        return f"refused: {verdict.notes}"
    return await note.step(ledger, "published")


@workflow
async def naps(ledger: str, seconds: float) -> list[float]:
    before = weftrun.now()
    await note.step(ledger, "before")
    began = weftrun.now()
    await weftrun.sleep(seconds)
    await note.step(ledger, "after")
    return [before, began, weftrun.now()]


@workflow
async def collects(count: int) -> list[int]:
    got = []
    while len(got) < count:
        got.append(await weftrun.signal("number", int))
    return got


@workflow
async def stubborn() -> list[str]:
    told = []
    await weftrun.signal("begin")
    for _ in range(3):
        try:
            told.append(str(await weftrun.signal("verdict", Verdict)))
        except TypeError as error:
            told.append(f"{type(error).__name__}: {error}")
    return told


@workflow
async def reads() -> list[int]:
    """Reads a number that was sent before it waits, and one in a child."""
    await weftrun.signal("begin")
    return [await weftrun.signal("number", int), await reads_inside.step()]


@workflow
async def reads_inside() -> int:
    return await weftrun.signal("number", int)


@function
def stays(file: str) -> None:
    while not Path(file).exists():
        time.sleep(0.01)


@workflow
async def asks_while_it_works(file: str) -> str:
    """Waits for a signal while a Step runs; then for a time."""
    work = stays.step(file)
    word = await weftrun.signal("word", str)
    await weftrun.gather(work)
    await weftrun.sleep(3600.0)
    return word


@workflow
async def leaves() -> str:
    weftrun.signal("never")
    weftrun.sleep(3600)
    return "done"


@workflow
def wires() -> None:
    weftrun.sleep(1)


@workflow
async def sleeps_wrong(seconds: float) -> None:
    await weftrun.sleep(seconds)


@function
def naps_in_a_step() -> None:
    weftrun.sleep(1)
