"""Workflows that wait for several things at once."""

from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import weftrun
from weftrun import function, workflow


@function
def square(n: int) -> int:
    return n * n


@function
def no(n: int) -> int:
    raise ValueError(f"no {n}")


@function
def slowly(n: int) -> int:
    time.sleep(random.choice([0.0, 0.05, 0.1, 0.2]))
    return n


@function
def note(ledger: str, at: int, place: int) -> int:
    with Path(ledger).open("a") as file:
        file.write(f"{at}-{place}\n")
    time.sleep(0.05)
    return place


@workflow
async def both(n: int) -> tuple[int, int]:
    one, two = await weftrun.gather(square.step(n), square.step(n + 1))
    return one, two


async def branch(n: int) -> int:
    first = await square.step(n)
    await weftrun.sleep(0.01 * n)
    return first + await square.step(n)


@workflow
async def branches(ns: list[int]) -> list[int]:
    return list(await weftrun.gather(*(branch(n) for n in ns)))


async def pair(n: int) -> Any:
    return await weftrun.gather(square.step(n), square.step(n + 1))


@workflow
async def nested() -> list[Any]:
    return list(await weftrun.gather(pair(1), pair(3), square.step(5)))


@workflow
async def nothing() -> list[Any]:
    return [*await weftrun.gather(), *[done async for done in weftrun.as_settled([])]]


@workflow
async def all_of(ns: list[int]) -> list[tuple[int, int]]:
    return [(done.place, done.result()) async for done in weftrun.as_settled(square.step(n) for n in ns)]


@workflow
async def errors_kept() -> list[Any]:
    given = await weftrun.gather(square.step(1), no.step(2), square.step(3), return_exceptions=True)
    return [f"{type(one).__name__}: {one}" if isinstance(one, Exception) else one for one in given]


@workflow
async def refs_of_a_map() -> list[int]:
    squares, _ = await weftrun.gather(square.map([1, 2, 3]), square.step(7))
    return squares


@workflow
async def fails_twice() -> str:
    try:
        await weftrun.gather(square.step(0), no.step(1), no.step(2))
    except ValueError as error:
        return str(error)
    return "nothing"


@workflow
async def in_time(timeout_s: float) -> tuple[int, Any]:
    return await weftrun.race(square.step(7), weftrun.sleep(timeout_s))


async def for_ever(closed: list[str]) -> None:
    try:
        await weftrun.signal("never", timeout_s=3600)
    finally:
        closed.append("closed")


@workflow
async def closes_the_loser() -> list[Any]:
    closed: list[str] = []
    first = await weftrun.race(for_ever(closed), square.step(2))
    return [first, *closed]


@workflow
async def fails_first() -> str:
    try:
        await weftrun.race(no.step(5), weftrun.sleep(3600))
    except ValueError as error:
        return str(error)
    return "nothing"


@workflow
async def whichever() -> tuple[int, Any]:
    return await weftrun.race(weftrun.signal("yes", int), weftrun.signal("no", int))


@workflow
async def waits_for_a_number() -> None:
    await weftrun.gather(square.step(1), 5)  # type: ignore[call-overload]


class Other:
    def __await__(self) -> Any:
        yield "something else"


@workflow
async def waits_for_something_else() -> None:
    await weftrun.gather(square.step(1), Other())


@workflow
async def in_their_order(ledger: str) -> list[int]:
    seen: list[int] = []
    async for done in weftrun.as_settled(slowly.step(n) for n in range(5)):
        seen.append(await note.step(ledger, len(seen), done.place))
    return seen


@workflow
async def forgets_to_await() -> str:
    return "waited" if weftrun.sleep(60) else "did not wait"
