"""The workflows that are timed."""

from __future__ import annotations

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
