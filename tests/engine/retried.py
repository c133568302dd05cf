"""Functions that fail until they are mended, and write down that they were entered."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import weftrun
from weftrun import Retry, current, function, workflow


def enter(folder: str, what: str) -> None:
    with (Path(folder) / "ledger").open("a") as file:
        file.write(f"{what} {current().key.split('/', 1)[1]} {current().attempt}\n")


def is_mended(folder: str) -> bool:
    return (Path(folder) / "mended").exists()


@function
def book(x: int, folder: str) -> int:
    enter(folder, "book")
    current().emit("post", {"booked": x})
    return x + 1


@function(retries=Retry(1, delay_s=0.0))
def pay(x: int, folder: str) -> int:
    enter(folder, "pay")
    if not is_mended(folder):
        raise ValueError("declined")
    return x * 2


@function
def unbook(x: int, folder: str) -> int:
    enter(folder, "unbook")
    return -x


@function
def tell(text: str, folder: str) -> str:
    enter(folder, "tell")
    return text


@function
def item(x: int, folder: str) -> int:
    enter(folder, "item")
    if x == 1 and not is_mended(folder):
        raise ValueError("bad item")
    return x


@function(effects="transaction")
def write(x: int, folder: str) -> int:
    with current().transaction() as db:
        db.execute("CREATE TABLE IF NOT EXISTS written (x)")
        db.execute("INSERT INTO written VALUES (?)", [x])
    return x


@workflow
def wired(x: int, folder: str) -> object:
    return tell("paid", folder), pay(write(book(x, folder), folder), folder)


@workflow
def mapped(n: int, folder: str) -> object:
    return item.map(range(n), folder=folder)


@workflow
async def saga(x: int, folder: str) -> list[object]:
    booked = await book.step(x, folder)
    try:
        paid = await pay.step(booked, folder)
    except ValueError:
        await tell.step("undone", folder)
        await unbook.step(booked, folder)
        raise
    told = await tell.step("paid", folder)
    return [paid, told]


@workflow
async def parent(x: int, folder: str) -> list[object]:
    return await saga.step(x, folder)


@workflow
async def hears(folder: str) -> list[str]:
    await weftrun.signal("begin")
    first = await weftrun.signal("go", str)
    await pay.step(1, folder)
    second = await weftrun.signal("go", str)
    return [first, second, await weftrun.signal("stop", str), await weftrun.signal("go", str)]


@workflow
async def waits(x: int, folder: str) -> int:
    booked = await book.step(x, folder)
    return await hang.step(booked, folder)


@function
def hang(x: int, folder: str) -> int:
    enter(folder, "hang")
    while not is_mended(folder):
        time.sleep(0.01)
    return x


if __name__ == "__main__":
    with weftrun.open(sys.argv[1]) as engine:
        print(engine.retry("run").result(timeout_s=60))
