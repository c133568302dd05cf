"""The workflows that are timed."""

from __future__ import annotations

import time

from weftrun import function, workflow


@function(checkpoint="sync", effects="none")
def synced(x: int) -> int:
    return x + 1


@function
def plain(x: int) -> int:
    return x + 1


unkept = plain.options(durable=False)


@function(effects="none")
def pure(x: int) -> int:
    return x + 1


@function(effects="none")
def total(xs: list[int]) -> int:
    return sum(xs)


@workflow
def sync_chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = synced(x)
    return x


@workflow
def default_chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = plain(x)
    return x


@workflow
def auto_chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = pure(x)
    return x


@workflow
async def awaiting(n: int) -> int:
    x = 0
    for _ in range(n):
        x = await pure.step(x)
    return x


@workflow
def fan_out(n: int) -> int:
    last = 0
    for i in range(n):
        last = pure(i)
    return last


@workflow
def big_map(n: int) -> int:
    return total(pure.map(range(n)))


@workflow
def plain_fan_out(n: int) -> int:
    last = 0
    for i in range(n):
        last = plain(i)
    return last


@function(effects="none")
def passed_on(left_at: float, spent_s: float) -> tuple[float, float]:
    """Add the time since the last line of the Step before to what all edges so far have taken."""
    spent_s += time.monotonic() - left_at if left_at else 0.0
    return time.monotonic(), spent_s


@workflow
def edges(n: int) -> tuple[float, float]:
    state = passed_on(0.0, 0.0)
    for _ in range(n):
        state = passed_on(state[0], state[1])
    return state
