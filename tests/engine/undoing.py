"""Workflows that are cancelled, or run out of time, when they have done what can be undone."""

from __future__ import annotations

import time
from pathlib import Path

import weftrun
from weftrun import function, workflow


def write(folder: str, what: str) -> None:
    with (Path(folder) / "ledger").open("a") as file:
        file.write(what + "\n")


@function
def unbook(folder: str, what: str, result: str) -> None:
    write(folder, f"unbook {what} {result}")
    if (Path(folder) / f"hold-{what}").exists():
        (Path(folder) / f"hold-{what}").rename(Path(folder) / "held")
        time.sleep(60)


@function(compensate=unbook)
def book(folder: str, what: str) -> str:
    write(folder, f"book {what}")
    return what.upper()


@function(compensate=unbook)
def book_slowly(folder: str, what: str) -> str:
    (Path(folder) / "under-way").touch()
    while not (Path(folder) / "go").exists():
        time.sleep(0.01)
    write(folder, f"book {what}")
    return what.upper()


@function
def nap(folder: str) -> None:
    (Path(folder) / "napping").touch()
    time.sleep(60)


@workflow
async def trip(folder: str) -> str:
    await book.step(folder, "hotel")
    await book.step(folder, "flight")
    nap(folder)
    return await weftrun.signal("go", str)


@workflow
async def slow_trip(folder: str) -> str:
    await book.step(folder, "hotel")
    return await book_slowly.step(folder, "car")


@workflow
async def family(folder: str) -> str:
    await book.step(folder, "house")
    return await trip.step(folder)


@workflow
async def plain(folder: str) -> str:
    return await weftrun.signal("go", str)


@workflow(body_timeout_s=0.5)
async def endless(folder: str) -> str:
    await book.step(folder, "hotel")
    await book.step(folder, "flight")
    while True:
        pass
