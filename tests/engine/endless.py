"""Workflows whose bodies never come to an await, or not in time. Sandboxes import it by name."""

from __future__ import annotations

import itertools
import re
import socket
import time
from pathlib import Path
from typing import Any

from weftrun import function, workflow

SOON_S = 0.5


def enter(ledger: str, what: str) -> None:
    with Path(ledger).open("a") as file:
        file.write(f"{what}\n")


@function(effects="none")
def inc(x: int) -> int:
    return x + 1


@function
def waits_for(path: str) -> str:
    while not Path(path).exists():
        time.sleep(0.002)
    return path


@workflow
async def counts(n: int) -> int:
    x = 0
    for _ in range(n):
        x = await inc.step(x)
    return x


@workflow
async def waits(path: str) -> str:
    return await waits_for.step(path)


@workflow(body_timeout_s=SOON_S)
async def spins(ledger: str) -> None:
    enter(ledger, "spins")
    await inc.step(1)
    while True:
        pass


@workflow(body_timeout_s=SOON_S)
async def sleeps(ledger: str) -> None:
    enter(ledger, "sleeps")
    time.sleep(3600)  # noqa: ASYNC251  # that is the point, here and below


@workflow(body_timeout_s=SOON_S)
def wires(ledger: str) -> None:
    enter(ledger, "wires")
    while True:
        pass


@workflow(body_timeout_s=SOON_S)
async def holds_the_interpreter(ledger: str) -> None:
    enter(ledger, "holds_the_interpreter")
    re.match(r"(a+)+$", "a" * 60 + "b")


@workflow(body_timeout_s=SOON_S)
async def maps_without_end(ledger: str) -> None:
    enter(ledger, "maps_without_end")
    await inc.map(itertools.count())


@workflow(body_timeout_s=SOON_S)
async def calls_without_end(ledger: str) -> None:
    enter(ledger, "calls_without_end")
    while True:
        inc.step(1)
        time.sleep(0.001)  # noqa: ASYNC251


@workflow(body_timeout_s=SOON_S)
async def reads(ledger: str) -> None:
    enter(ledger, "reads")
    here, _there = socket.socketpair()
    here.recv(1)


@workflow(body_timeout_s=SOON_S)
async def catches(ledger: str) -> None:
    enter(ledger, "catches")
    while True:
        try:
            while True:
                time.sleep(0.01)  # noqa: ASYNC251
        except BaseException:  # noqa: BLE001
            continue


class Lasting:
    def __del__(self) -> None:
        while True:
            time.sleep(0.01)


@workflow(body_timeout_s=SOON_S)
async def lets_go(ledger: str) -> int:
    enter(ledger, "lets_go")
    kept = [Lasting()]
    return await inc.step(len(kept))  # what it has kept is released after that


@workflow(body_timeout_s=SOON_S)
async def spins_at_its_end() -> None:
    try:
        await waits_for.step("/never/there")
    finally:
        while True:
            pass


@workflow(body_timeout_s=60.0)
async def computes(sign: str) -> None:
    enter(sign, "computes")
    while True:
        pass


CULPRITS: tuple[Any, ...] = (
    spins, sleeps, wires, holds_the_interpreter, maps_without_end, calls_without_end, reads, catches, lets_go,
)  # fmt: skip
