"""An app whose Runs the page shows."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

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


@dataclass
class Verdict:
    approved: bool
    stars: int
    kind: Literal["news", "essay"] = "news"
    labels: list[str] = field(default_factory=list)
    remark: str | None = None


@workflow
async def review(title: str) -> str:
    verdict = await weftrun.signal("verdict", Verdict)
    return f"{title}: {verdict.stars}, {verdict.kind}, {', '.join(verdict.labels)}, {verdict.remark}"


@function(effects="none")
def render(frame: int, slow: str) -> int:
    """Take longer on the Worker that comes first, as a slow host would."""
    with contextlib.suppress(FileExistsError), Path(slow).open("x") as first:
        first.write(os.readlink("/proc/self/ns/pid"))
    time.sleep(0.2 if Path(slow).read_text() == os.readlink("/proc/self/ns/pid") else 0.05)
    return frame


@function(effects="none")
def join(frames: list[int]) -> int:
    return len(frames)


@workflow
def film(frames: int, slow: str) -> int:
    return join([render(frame, slow) for frame in range(frames)])


@function
def reserve(item: str) -> str:
    print(f"reserved {item}")
    return f"reserved {item}"


@function(retries=2)
def charge(card: str) -> str:
    print(f"asking the bank about {card}")
    raise ConnectionError(f"the bank refused the card {card}: insufficient funds")


@function
def ship(reserved: str, paid: str) -> str:
    return f"{reserved}, {paid}"


@workflow
def order(item: str, card: str) -> str:
    return ship(reserve(item), charge(card))


@function
def tell(name: str) -> None:
    weftrun.current().emit("mail", {"to": name})


@workflow
def greet(name: str) -> None:
    tell(name)


@function(effects="none")
def say(text: str, length: int) -> str:
    """Print one very long line."""
    print("x" * length)
    return text


@workflow
async def echo(text: str, length: int) -> str:
    return await say.step(text, length)


@workflow
def wide(count: int) -> int:
    last = 0
    for number in range(count):
        last = leaf(number)
    return last


@function(effects="none")
def shard(number: int, size: int) -> bytes:
    return bytes(size)


@function(effects="none")
def weigh(one: bytes, other: bytes) -> int:
    time.sleep(0.05)
    return len(one) + len(other)


@workflow
def basket(number: int) -> int:
    return total([leaf(number), leaf(number + 1)])


@workflow
def shopping(baskets: int) -> int:
    return total([basket(number) for number in range(baskets)])


@workflow
def spread(pairs: int, size: int) -> list[int]:
    """Make large values on several Workers, and let each Step take two."""
    made = [shard(number, size) for number in range(pairs)]
    return [weigh(one, other) for one, other in zip(made, made[1:] + made[:1], strict=True)]
