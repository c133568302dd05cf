"""Workflows of generators and of what reads them while they go on."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import weftrun
from weftrun import Retry, function, workflow


@function(effects="none")
def counted(n: int, size: int = 0) -> Iterator[tuple[int, bytes]]:
    for i in range(n):
        yield i, bytes(size)


@function(effects="none")
def total(chunks: Iterator[tuple[int, bytes]]) -> int:
    return sum(i for i, _ in chunks)


@function(effects="none")
def doubled(chunks: Iterator[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    for i, data in chunks:
        yield 2 * i, data


@function(effects="none")
def first(chunks: Iterator[tuple[int, bytes]], n: int) -> list[int]:
    return [next(chunks)[0] for _ in range(n)]


@function
def seen_total(chunks: Iterator[tuple[int, bytes]]) -> int:
    return sum(i for i, _ in chunks)


@workflow
def several(n: int, size: int) -> list[object]:
    """Readers, a generator that reads, one that stops, and one that waits for the end since it is visible."""
    chunks = counted(n, size)
    return [total(chunks), total(doubled(chunks)), first(chunks, 3), seen_total(chunks)]


@workflow
def answered(n: int) -> Iterator[tuple[int, bytes]]:
    return counted(n)


@workflow
async def awaited(n: int) -> int:
    chunks = await counted.step(n)
    return sum(i for i, _ in chunks)


def _until_there(path: Path) -> None:
    while not path.exists():
        time.sleep(0.002)


@function(effects="none")
def waits_for_its_reader(folder: str) -> Iterator[int]:
    yield 1
    _until_there(Path(folder, "seen"))
    yield 2


@function(effects="none")
def shows_that_it_reads(chunks: Iterator[int], folder: str) -> list[int]:
    seen = []
    for chunk in chunks:
        Path(folder, "seen").touch()
        seen.append(chunk)
    return seen


@workflow
def together(folder: str) -> list[int]:
    return shows_that_it_reads(waits_for_its_reader(folder), folder)


@function(effects="none", retries=Retry(3, delay_s=0.01))
def tokens(n: int, folder: str, how: str) -> Iterator[str]:
    """Yield one token, drawn for each Attempt; the first Attempt ends half way, when somebody has read of it."""
    token = secrets.token_hex(8)
    for i in range(n):
        if weftrun.current().attempt == 1 and i == n // 2:
            _until_there(Path(folder, "seen"))
            if how == "dies":
                os._exit(3)
            raise ValueError("half way")
        yield token


@function(effects="none", retries=Retry(3, delay_s=0.01))
def gathered(chunks: Iterator[str], folder: str, how: str) -> list[str]:
    found = []
    for chunk in chunks:
        found.append(chunk)
        Path(folder, "seen").touch()
        if how == "reader dies" and weftrun.current().attempt == 1 and len(found) == 3:
            os._exit(3)
    return found


@workflow
def drawn(n: int, folder: str, how: str) -> list[object]:
    chunks = tokens(n, folder, how)
    return [chunks, gathered(chunks, folder, how), gathered(chunks, folder, "")]


@function(effects="none")
def steady(n: int) -> Iterator[str]:
    token = secrets.token_hex(8)
    for _ in range(n):
        yield token


@workflow
def read_by_one_that_dies(n: int, folder: str) -> list[object]:
    chunks = steady(n)
    return [chunks, gathered(chunks, folder, "reader dies")]


@function(effects="none")
def breaks(n: int) -> Iterator[int]:
    yield from range(n)
    raise ValueError("no more")


@function(effects="none")
def all_of(chunks: Iterator[int]) -> list[int]:
    return list(chunks)


@workflow
async def broken() -> str:
    try:
        await all_of.step(breaks.step(3).out)
    except ValueError as error:
        return str(error)
    return "read"
