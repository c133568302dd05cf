"""What the tests of the command line run."""

from __future__ import annotations

import enum
import os
import subprocess
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from weftrun import Retry, current, function, workflow


@dataclass
class Point:
    x: int
    y: int


class Colour(enum.Enum):
    RED = "red"


class Loud:
    """A value that leaves a mark wherever it is decoded."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __setstate__(self, state: dict[str, str]) -> None:
        self.mark = state["mark"]
        Path(self.mark).write_text("decoded")

    def __repr__(self) -> str:
        return "<loud>"


@function(effects="none")
def count(text: str) -> Counter[str]:
    print("counting", text)
    return Counter(text)


@function(deterministic=True, effects="none")
def merge(parts: list[Counter[str]], top: int = 10) -> list[tuple[str, int]]:
    return sum(parts, Counter[str]()).most_common(top)


@workflow
def wordcount(texts: list[str], top: int = 3) -> list[tuple[str, int]]:
    return merge(count.map(texts), top=top)


@function
def move(point: Point, by: int = 1) -> Point:
    return Point(point.x + by, point.y + by)


@function
def suffix(path: Path) -> str:
    return path.suffix


@function
def raw() -> bytes:
    return b"\x00\x01"


@function
def loud(mark: str) -> Loud:
    return Loud(mark)


@function
def fail(text: str) -> int:
    raise ValueError(text)


@workflow
def broken(text: str) -> int:
    return move(fail(text))


@function
def out_of_time() -> int:
    raise TimeoutError("the author's own")


@function
def nap(i: int, ledger: str, seconds: float) -> int:
    with Path(ledger).open("a") as file:
        file.write(f"{current().step_id} {os.getpid()}\n")
    time.sleep(seconds)
    return i


@workflow
def naps(n: int, ledger: str, seconds: float = 0.05) -> int:
    return total(nap.map(range(n), ledger=ledger, seconds=seconds))


@function(deterministic=True, effects="none")
def total(parts: list[int]) -> int:
    return sum(parts)


@function(effects="none")
def late(seconds: float = 0.05) -> int:
    time.sleep(seconds)
    return 1


@workflow
async def inner() -> int:
    first, second = raw(), late()
    await first
    return await second


@workflow
async def nested() -> int:
    """Its Steps settle in another order than they are called in."""
    child = inner()
    slow = late(0.2)
    await raw.step()
    return await child + await slow


@function(effects="none")
def wait_for(name: str, i: int) -> int:
    """Print, and go on once a file is there."""
    print("waiting", i, flush=True)
    print("half a line", end="")
    while not Path(name).exists():
        time.sleep(0.02)
    print(", whole")
    return i


@function(effects="none")
def program(name: str) -> int:
    """Let another program print and wait."""
    return subprocess.call(["sh", "-c", f"echo from the program; while ! test -e {name}; do sleep 0.05; done"])


@workflow
def waits(name: str, n: int = 1) -> int:
    return total([*[wait_for(name, i) for i in range(n)], program(name)])


@function(retries=Retry(3, delay_s=3_600, delay_max_s=7_200))
def not_today() -> int:
    raise ValueError("closed")


@workflow
def tomorrow() -> int:
    return not_today()


@workflow
async def rounds(name: str) -> int:
    """Print in each turn."""
    print("round 0")
    await raw.step()
    print("round 1")
    done = await wait_for.step(name, 1)
    print("round", done + 1)
    return done
