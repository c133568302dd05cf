"""The author's code of the tests that start and await Runs in an asyncio loop."""

from __future__ import annotations

from pathlib import Path

from weftrun import function, workflow


@function(effects="none")
def double(x: int) -> int:
    return 2 * x


@function(effects="none")
def wait_for_line(fifo: str) -> str:
    return Path(fifo).read_text()


@workflow
async def doubled_twice(x: int) -> int:
    return await double.step(await double.step(x))


@workflow
def refuses(x: int) -> int:
    raise ValueError(f"no {x}")
