"""Workflows for Workers in other processes."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import numpy as np

import weftrun
from weftrun import function, workflow

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


@function(effects="none")
def add(a: float, b: float) -> float:
    return a + b


@function
def double(n: int) -> int:
    return 2 * n


@function(effects="none")
def ones(n: int) -> Floats:
    return np.full(n, 2.0)


@function(effects="none")
def plus(one: Floats, other: Floats) -> Floats:
    return (one + other) / 2


@function(effects="none")
def total(values: Floats) -> float:
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
def woven(width: int, layers: int, size: int) -> float:
    """Layers of which each part takes from two of the last one, and so from two Workers, somewhere."""
    parts = [ones(size) for _ in range(width)]
    for _ in range(layers):
        parts = [plus(parts[i], parts[(i + 1) % width]) for i in range(width)]
    return total(parts[0])


@function(effects="none")
def plus_slowly(one: Floats, other: Floats, folder: str) -> Floats:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False):
        time.sleep(0.02)
    return (one + other) / 2


@workflow
def woven_slowly(width: int, layers: int, size: int, folder: str) -> float:
    parts = [ones(size) for _ in range(width)]
    for _ in range(layers):
        parts = [plus_slowly(parts[i], parts[(i + 1) % width], folder) for i in range(width)]
    return total(parts[0])


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


@function(effects="visible", retries=0)
def pays(n: int, folder: str) -> int:
    Path(folder, f"entered-{n}").touch(exist_ok=False)
    while not Path(folder, "go").exists():
        time.sleep(0.005)
    return n


@workflow
async def pays_all(n: int, folder: str) -> list[int]:
    """Return which payments were made; the others were begun, and nobody knows how they ended."""
    payments = [pays.step(i, folder) for i in range(n)]
    made = []
    for payment in payments:
        with contextlib.suppress(weftrun.StepFailed):
            made.append(await payment)
    return made


@function(effects="none")
def waits_noted(n: int, folder: str) -> int:
    with tempfile.NamedTemporaryFile(dir=folder, prefix="entered-", delete=False):
        while not Path(folder, "go").exists():
            time.sleep(0.005)
    return n


@workflow
def waits_in_line(steps: int, items: int, folder: str) -> list[list[int]]:
    return [[waits_noted(i, folder) for i in range(steps)], waits_noted.map(range(100, 100 + items), folder=folder)]


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
