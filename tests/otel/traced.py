"""What is traced in the tests: each tells the context that it may hand on."""

from __future__ import annotations

import weftrun
from weftrun import function, workflow


@function(effects="none")
def told(n: int) -> str:
    return weftrun.current().traceparent


@function(effects="none", concurrency=4)
def shared(n: int) -> str:
    return weftrun.current().traceparent


@function(effects="none", retries=1)
def second() -> str:
    if weftrun.current().attempt == 1:
        raise ValueError("not yet")
    return weftrun.current().traceparent


@workflow
async def all_of_them() -> list[str]:
    return [weftrun.current().traceparent, await told.step(1), await second.step(), await shared.step(2)]


@workflow
def mapped(ns: list[int]) -> list[str]:
    return told.map(ns)
