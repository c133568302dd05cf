"""Workflows that go on with the first of several calls."""

from __future__ import annotations

import time

import weftrun
from weftrun import function, workflow


@function(effects="none")
def slow(n: int) -> int:
    time.sleep(60)
    return n


@function(effects="none")
def keep(n: int) -> int:
    return n


@function(effects="none")
def fail(n: int) -> int:
    raise ValueError(f"{n} is refused")


@function
def written(n: int) -> int:
    time.sleep(0.02)
    return n


@workflow
def quickest(n: int) -> int:
    return keep(weftrun.first(keep(n), slow(slow(n))))


@workflow
def failing_paths(n: int) -> int:
    return keep(weftrun.first(keep(fail(n)), keep(n), fail(n)))


@workflow
def two(n: int) -> list[int]:
    return sorted_(weftrun.first(fail(n), keep(n), keep(n + 1), k=2))


@function(effects="none")
def sorted_(values: list[int]) -> list[int]:
    return sorted(values)


@workflow
def too_few(n: int) -> list[int]:
    return weftrun.first(keep(n), fail(n), fail(n + 1), k=2)


@workflow
def visible_ones(n: int) -> int:
    return weftrun.first(keep(n), written(n), written(n + 1))


@workflow
def of_a_map(n: int) -> int:
    return weftrun.first(keep.map(range(n)), keep(n))


@workflow
async def looking(n: int) -> int:
    return weftrun.first(keep(n), keep(n))
