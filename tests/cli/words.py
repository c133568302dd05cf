"""What the tests of the command line run."""

from __future__ import annotations

import enum
import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from weftrun import current, function, workflow


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
