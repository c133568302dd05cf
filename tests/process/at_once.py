"""Functions that share a Sandbox, as authors write them; Sandboxes of these tests run them."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

from weftrun.sdk.function import function
from weftrun.sdk.place import current

PARTIES = 4
_together = threading.Barrier(PARTIES, timeout=15)
_on_the_loop = asyncio.Barrier(PARTIES)


@function(concurrency=PARTIES)
def meet(n: int) -> tuple[str, int]:
    print(f"{n} comes")
    _together.wait()
    print(f"{n} goes")
    return current().step_id, os.getpid()


@function(concurrency=PARTIES)
async def meet_on_a_loop(n: int) -> tuple[str, int]:
    print(f"{n} comes")
    await _on_the_loop.wait()
    print(f"{n} goes")
    return current().step_id, threading.get_ident()


@function(concurrency=PARTIES)
def passes(n: int, folder: str) -> int:
    """End at once for an even `n`; else when a file is there."""
    if n == 2:
        raise ValueError("two")
    while n % 2 and not (Path(folder) / "go").exists():
        threading.Event().wait(0.002)
    return n


@function(concurrency=PARTIES)
def dies(n: int) -> None:
    print(f"{n} says")
    _together.wait()
    if n == 1:
        os._exit(3)
    threading.Event().wait()


@function(concurrency=2)
def large(n: int) -> bytes:
    return bytes([n]) * 100_000


@function(concurrency=2)
def length(data: bytes) -> int:
    return len(data)


@function(batch=True)
def doubles(numbers: list[int]) -> list[Any]:
    print(len(numbers))
    return [ValueError("odd one") if n % 2 else (2 * n, len(numbers)) for n in numbers]


@function(batch=True)
async def doubles_later(numbers: list[int], factor: list[int]) -> list[int]:
    await asyncio.sleep(0)
    return [n * f for n, f in zip(numbers, factor, strict=True)]


@function(batch=True)
def short(numbers: list[int]) -> list[int]:
    return numbers[1:]
