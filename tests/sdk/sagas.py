"""Workflows whose Steps are undone when they fail."""

from __future__ import annotations

import time
from pathlib import Path

import weftrun
from weftrun import function, workflow


def write(ledger: str, what: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(what + "\n")


@function
def cancel(ledger: str, what: str, result: str) -> None:
    write(ledger, f"cancel-{what}-{result}")


@function(compensate=cancel)
def book(ledger: str, what: str) -> str:
    write(ledger, f"book-{what}")
    return f"no{len(what)}"


@function
def refund(ledger: str, cents: int, pause_s: float = 0.0) -> None:
    write(ledger, f"refund-{cents}")
    time.sleep(pause_s)


@function(compensate=refund)
def pay(ledger: str, cents: int, pause_s: float = 0.0) -> int:
    time.sleep(pause_s)
    write(ledger, f"pay-{cents}")
    return cents


@function
def fails_to_undo(ledger: str) -> None:
    raise RuntimeError("it can't be undone")


@function(compensate=fails_to_undo)
def once(ledger: str) -> None:
    write(ledger, "once")


@function(compensate=cancel)
def sold_out(ledger: str, what: str) -> str:
    raise ValueError(f"{what} is sold out")


@workflow
async def trip(ledger: str, fails: bool) -> list[str]:
    hotel = await book.step(ledger, "hotel")
    flight = await book.step(ledger, "flight")
    await pay.step(ledger, 100)
    if fails:
        await sold_out.step(ledger, "car")
    return [hotel, flight]


@workflow
async def its_own_error(ledger: str) -> None:
    await book.step(ledger, "hotel")
    raise LookupError("no room")


@workflow
async def handled(ledger: str) -> str:
    await book.step(ledger, "hotel")
    try:
        await sold_out.step(ledger, "car")
    except ValueError:
        return "by train"
    return "by car"


@workflow
async def under_way(ledger: str) -> None:
    pay.step(ledger, 7, 0.3)
    await sold_out.step(ledger, "car")


@workflow
async def never_awaited(ledger: str) -> str:
    await book.step(ledger, "hotel")
    sold_out.step(ledger, "car")
    await weftrun.sleep(0.0)
    weftrun.sleep(3600.0)
    return "all is well"


@workflow
async def in_vain(ledger: str) -> None:
    await book.step(ledger, "hotel")
    await once.step(ledger)
    await sold_out.step(ledger, "car")


@workflow
async def undo_trip(ledger: str, fails: bool, result: list[str]) -> None:
    await refund.step(ledger, len(result))


@workflow(compensate=undo_trip)
async def whole_trip(ledger: str, fails: bool) -> list[str]:
    return [await book.step(ledger, "train")]


@workflow
async def with_a_child(ledger: str) -> None:
    await whole_trip.step(ledger, False)
    await trip.step(ledger, True)


@workflow
def wires(ledger: str) -> str:
    return book(ledger, "hotel")


@workflow
async def maps(ledger: str) -> list[str]:
    return await book.map([ledger], ["hotel"])


@workflow
async def slow_to_undo(ledger: str) -> None:
    for cents in range(4):
        await pay.step(ledger, cents, 0.0)
    for cents in range(4, 6):
        await pay.options(effects="visible").step(ledger, cents, 0.2)
    await sold_out.step(ledger, "car")
