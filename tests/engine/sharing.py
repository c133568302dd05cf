"""Functions that share a Sandbox, for the tests of the engine. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import asyncio
import os
import random
import threading
from pathlib import Path

import weftrun
from weftrun import function, workflow

CALLS = 64
_all = threading.Barrier(CALLS, timeout=30)
_on_the_loop = asyncio.Barrier(CALLS)


@function(concurrency=CALLS, effects="none")
def meet(n: int) -> tuple[int, str]:
    """Return only when all have been entered."""
    _all.wait()
    print(f"call {n}")
    return os.getpid(), weftrun.current().key


@function(concurrency=CALLS, effects="none")
async def meet_on_the_loop(n: int) -> tuple[int, str]:
    await _on_the_loop.wait()
    print(f"call {n}")
    return os.getpid(), weftrun.current().key


@workflow
def all_meet() -> list[tuple[int, str]]:
    return [meet(n) for n in range(CALLS)]


@workflow
def all_meet_on_the_loop() -> list[tuple[int, str]]:
    return [meet_on_the_loop(n) for n in range(CALLS)]


@function(batch=True, effects="none")
def squares(numbers: list[int]) -> list[tuple[int, int]]:
    return [(n * n, len(numbers)) for n in numbers]


@workflow
def all_squares(count: int) -> list[tuple[int, int]]:
    return [squares(n) for n in range(count)]


@function(concurrency=("processes", 4), effects="none", timeout_s=20)
def forked(n: int, folder: str) -> tuple[int, int, str, int, float]:
    """Return only when four have been entered, each in a process of its own."""
    (Path(folder) / f"forked-{n}").touch()
    while len(list(Path(folder).glob("forked-*"))) < 4:
        threading.Event().wait(0.005)
    print(f"call {n}")
    return os.getpid(), os.getppid(), weftrun.current().key, sum(made_large(n)), random.random()


def made_large(n: int) -> list[int]:
    return [n] * 10


@workflow
def all_forked(folder: str) -> list[tuple[int, int, str, int, float]]:
    return [forked(n, folder) for n in range(4)]


@function(concurrency=("processes", 4), effects="none")
def large(n: int) -> bytes:
    """Return what does not travel inline."""
    return bytes([n]) * 300_000


@workflow
def all_large() -> list[bytes]:
    return [large(n) for n in range(3)]


@function(concurrency=("processes", 4), effects="none", timeout_s=1)
def forked_stays(n: int, folder: str) -> int:
    """Stay for ever where `n` is 0; else return when the process of that one is gone."""
    note(folder, f"stays-{n}")
    first = Path(folder) / "first"
    if n == 0:
        first.write_text(str(os.getpid()))
    while n == 0 or Path(f"/proc/{first.read_text()}").exists():
        threading.Event().wait(0.005)
    return n


@function(concurrency=("processes", 4), effects="none", memory_bytes_max=50_000_000)
def forked_ends(how: str, folder: str) -> str:
    """End otherwise than by returning; at the second time, return."""
    note(folder, how)
    if how == "raises":
        raise ValueError("told")
    if how == "eats":
        return str(len(bytearray(500_000_000)))
    if how == "exits" and weftrun.current().attempt == 1:
        os._exit(3)
    return how


@workflow
async def ends_of_forks(folder: str) -> list[str]:
    refs = [forked_ends.step(how, folder) for how in ("raises", "eats", "exits", "returns")]
    told = []
    for ref in refs:
        try:
            told.append(await ref)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is told
            told.append(type(error).__name__)
    return told


def note(folder: str, what: str) -> None:
    with (Path(folder) / "entered").open("a") as file:
        file.write(f"{what} {weftrun.current().attempt}\n")


@function(concurrency=3, effects="none", timeout_s=0.5)
def stays(n: int) -> int:
    """Stay for ever where `n` is 0."""
    while n == 0:
        threading.Event().wait()
    return n


@workflow
async def one_stays() -> list[str]:
    refs = [stays.step(n) for n in range(2)]
    told = []
    for ref in refs:
        try:
            told.append(str(await ref))
        except weftrun.StepTimedOut as error:
            told.append(str(error))
    return told


@function(concurrency=3, effects="none")
def falls(n: int, folder: str) -> int:
    """Take the Sandbox down, once, when a neighbour has been entered."""
    note(folder, f"falls-{n}")
    while weftrun.current().attempt == 1:
        if n == 0 and (Path(folder) / "entered").read_text().count("falls-") == 2:
            os._exit(3)
        threading.Event().wait(0.005)
    return n


@workflow
def one_falls(folder: str) -> list[int]:
    return [falls(n, folder) for n in range(2)]


@function(concurrency=3, effects="none")
def held(n: int, folder: str) -> int:
    """Return when there is a file of its number."""
    note(folder, f"held-{n}")
    while not (Path(folder) / str(n)).exists():
        threading.Event().wait(0.005)
    return n


@function(window=0.05, effects="none")
def gathered(n: int) -> int:
    return n + 1
