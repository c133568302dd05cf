"""What tests serve."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import weftrun
from weftrun import function, workflow


@dataclass
class Point:
    x: int
    y: float = 1.0


@function(effects="none")
def add(a: int, b: int = 2) -> int:
    """Add two numbers."""
    return a + b


@workflow
def twice(a: int) -> int:
    return add(add(a))


@function
def moved(point: Point, by: int = 1) -> Point:
    return Point(point.x + by, point.y)


@function
def raw(n: int) -> bytes:
    return bytes(range(n))


@function
def imaginary() -> complex:
    return 1j


@function
def echo(value: object) -> object:
    return value


@function
def large(n: int) -> str:
    return "x" * n


@function
def fails(why: str) -> None:
    raise ValueError(why)


@function
def waits_for(file: str, says: str = "") -> str:
    """Print, then wait for a file."""
    print(f"waiting {says}", flush=True)
    while not Path(file).exists():
        time.sleep(0.01)
    print("there", flush=True)
    return says


@workflow
def both(file: str) -> list[str]:
    return [waits_for(file, "one"), waits_for(file, "two")]


@workflow
async def asks(title: str) -> str:
    point = await weftrun.signal("verdict", Point)
    more = await weftrun.signal("more", int)
    return f"{title}: {point.x}, {point.y}, {more}"
