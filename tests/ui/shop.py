"""An app whose Runs the page shows."""

from __future__ import annotations

import time
from pathlib import Path

import weftrun
from weftrun import function, workflow


@function(effects="none")
def fetch(city: str) -> int:
    print(f"fetching {city}")
    time.sleep(0.15)
    return len(city)


@function(effects="none")
def total(parts: list[int], factor: int = 1) -> int:
    time.sleep(0.1)
    return sum(parts) * factor


@function(retries=1)
def check(number: int) -> int:
    if number % 2:
        raise ValueError(f"{number} is <b>odd</b>")
    return number


@function(effects="none")
def wait_for(file: str) -> str:
    print("waiting")
    while not Path(file).exists():
        time.sleep(0.01)
    return "it is there"


@workflow
def report(cities: list[str]) -> int:
    parts = fetch.map(cities)
    return total([total(parts), total(parts, factor=2)])


@workflow
async def audit(number: int) -> int:
    checked = await check.step(number)
    return await total.step([checked])


@workflow
def patience(file: str) -> str:
    return wait_for(file)


@workflow
async def publish(title: str) -> str:
    verdict = await weftrun.signal("verdict", str)
    return f"{title}: {verdict}"


@function(effects="none")
def leaf(number: int) -> int:
    return number


@function(effects="none")
def larger(one: int, other: int) -> int:
    return max(one, other)


@workflow
def tree(leaves: int) -> int:
    level = [leaf(number) for number in range(leaves)]
    while len(level) > 1:
        level = [larger(one, other) for one, other in zip(level[::2], level[1::2], strict=True)]
    return level[0]
