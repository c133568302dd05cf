"""Workflows for Workers in other processes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

import weftrun
from weftrun import function, workflow


@function(effects="none")
def add(a: float, b: float) -> float:
    return a + b


@function
def double(n: int) -> int:
    return 2 * n


@function(effects="none")
def ones(n: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.full(n, 2.0)


@function(effects="none")
def total(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
    return float(values.sum())


@workflow
def chain(n: int) -> float:
    value: float = 0
    for _ in range(n):
        value = add(value, 1)
    return value


@workflow
def joined(n: int) -> float:
    return add(total(ones(n)), total(ones(n)))


@workflow
def mapped(n: int) -> list[int]:
    return double.map(range(n))


@workflow
async def watching(n: int) -> int:
    while n < 10:
        n = await double.step(n)
    return n


@function
def fails(n: int) -> int:
    raise ValueError(f"no {n}")


@workflow
async def caught() -> str:
    try:
        await fails.step(3)
    except ValueError as error:
        return str(error)
    return ""


@function
def says() -> None:
    print("hello")


@workflow
def talking() -> None:
    return says()


@function(effects="none")
def waits(n: int, folder: str) -> int:
    Path(folder, f"entered-{n}").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.005)
    return n


@function(effects="none")
def summed(values: list[int]) -> int:
    return sum(values)


@workflow
def waits_then_adds(n: int, folder: str) -> float:
    return summed([add(waits(i, folder), 1) for i in range(n)])


@function(effects="transaction")
def writes(n: int) -> int:
    with weftrun.current().transaction() as db:
        db.execute("CREATE TABLE IF NOT EXISTS app_counts (n INTEGER)")
        db.execute("INSERT INTO app_counts VALUES (?)", (n,))
        ((count,),) = db.execute("SELECT count(*) FROM app_counts")
        return int(str(count))


@workflow
async def writes_three() -> int:
    count = 0
    for n in range(3):
        count = await writes.step(n)
    return count
