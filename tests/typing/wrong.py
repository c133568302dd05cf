"""Wrong programs: each line that ends in `# wrong` is refused by both checkers, and no other line is."""

from __future__ import annotations

from collections import Counter

import weftrun
from weftrun import Retry, function, workflow


@function
def count(path: str) -> Counter[str]:
    return Counter(path)


@function
def merge(parts: list[Counter[str]], top: int = 10) -> list[str]:
    return [str(part) for part in parts][:top]


@function
async def fetch(url: str) -> bytes:
    return url.encode()


@function(retires=3)  # wrong
def misspelt() -> None: ...


@function(retries=Retry(2, on=5))  # wrong
def unknown_error() -> None: ...


@function(effects="some")  # wrong
def unknown_effect() -> None: ...


@function(concurrency=("fibers", 2))  # wrong
def unknown_way() -> None: ...


@function(window="fixed")  # wrong
def unknown_window() -> None: ...


@function(checkpoint="never")  # wrong
def unknown_checkpoint() -> None: ...


@workflow
def wiring(paths: list[str]) -> list[str]:
    merge(count("a"))  # wrong
    merge([count(5)])  # wrong
    count("a", "b")  # wrong
    merge(parts=[], tops=3)  # wrong
    merge(count.map(paths), top="5")  # wrong
    merge(fetch.map(paths))  # wrong
    merge(count.map([5]))  # wrong
    count.map(5)  # wrong
    merge([count.step("a")])  # wrong
    weftrun.when(True, count, count, 5)  # wrong
    merge([weftrun.when(True, count, None, "a")])  # wrong
    return merge(count.map(paths))


@workflow
async def watching() -> int:
    forgotten = fetch.step("u")
    size: int = len(forgotten)  # wrong
    awaited: str = await fetch.step("u")  # wrong
    fetch.step(1)  # wrong
    return size + len(awaited)


def outside(engine: weftrun.Engine) -> None:
    engine.start(wiring, "a")  # wrong
    engine.start(wiring.options(ids="x"), [])  # wrong
    engine.start(wiring.options(durable="no"), [])  # wrong
    number: int = engine.run(count, "a")  # wrong
    engine.run(watching, 1)  # wrong
    count.options(timeout_s="5")  # wrong
    count.options(checkpoint=None)  # wrong
    print(number)
