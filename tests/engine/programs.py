"""Functions and workflows that the tests of the engine run. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import ctypes
import fcntl
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import weftrun
from weftrun import Retry, function, workflow


def note(ledger: str) -> None:
    """Append a line to a file outside the engine: this Attempt was entered."""
    here = weftrun.current()
    with Path(ledger).open("a") as file:
        file.write(f"{here.step_id} {here.attempt} {here.key}\n")


@function
def inc(x: int) -> int:
    return x + 1


@function(effects="none")
def echo(value: object) -> object:
    return value


@function(effects="none")
def pure(x: int) -> int:
    return x + 1


@function(effects="none", deterministic=True)
def add(a: int, b: int) -> int:
    return a + b


@function(checkpoint="sync", effects="none")
def synced(x: int) -> int:
    return x + 1


@function
async def later(x: int) -> int:
    import asyncio  # noqa: PLC0415

    await asyncio.sleep(0.001)
    return x * 2


@function
def total(xs: list[int]) -> int:
    return sum(xs)


@function
def pair(x: int) -> tuple[int, int]:
    return x, -x


@function
def fail(text: str) -> int:
    raise ValueError(text)


@function
def fail_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"odd {x}")
    return x


@function(retries=Retry(times=3, delay_s=0.01))
def flaky(path: str, good_at: int) -> int:
    note(path)
    if weftrun.current().attempt < good_at:
        raise RuntimeError("not yet")
    return weftrun.current().attempt


@function
def segfault() -> int:
    return ctypes.string_at(0)[0]


@function(retries=0)
def segfault_once(path: str) -> int:
    note(path)
    os.kill(os.getpid(), 11)
    return 1


@function
def leave(code: int) -> int:
    sys.exit(code)


@function
def hard_exit() -> int:
    os._exit(3)


@function(timeout_s=0.2)
def sleepy(seconds: float) -> str:
    time.sleep(seconds)
    return "woke"


@function
def nap(seconds: float) -> str:
    time.sleep(seconds)
    return "woke"


@function(memory_bytes_max=64 << 20)
def greedy() -> int:
    return len(bytearray(512 << 20))


@function
def talk(text: str) -> str:
    print(text)
    print("to stderr", file=sys.stderr)
    weftrun.current().log.info("logged %d", 7)
    return text


@function
def shout(megabytes: int) -> int:
    for _ in range(megabytes):
        print("x" * (1 << 20))
    return megabytes


@function
def forks() -> int:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return subprocess.run(["/bin/true"], check=True).returncode


@function
def unpicklable() -> object:
    return {"conn": [threading.Lock()]}


@function
def noted(x: int, ledger: str) -> int:
    note(ledger)
    time.sleep(0.005)
    return x + 1


@function(effects="none")
def noted_item(x: int, ledger: str) -> int:
    note(ledger)
    time.sleep(0.002)
    return x * x


@workflow
def diamond(x: int) -> int:
    left, right = inc(x), pure(x)
    return add(left, right)


@workflow
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


@workflow
def sync_chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = synced(x)
    return x


@workflow
def nested(x: int) -> dict[str, object]:
    a, b = pair(x)
    return {"sum": add(a, b), "parts": [a, b, diamond(x)], "plain": x}


@workflow
def mapped(n: int) -> int:
    return total(pure.map(range(n)))


@workflow
def mapped_item(n: int) -> int:
    return pure.map(range(n))[n - 1]


@workflow
def mapped_fails(n: int) -> int:
    return total(fail_odd.map(range(n)))


@workflow
def two_maps(n: int) -> list[int]:
    return inc.map(pure.map(range(n)))


@workflow
def empty_map() -> list[int]:
    return pure.map([])


@workflow
def broken_items(n: int) -> list[int]:
    def items():
        yield from range(n)
        raise KeyError("the source ended badly")

    return pure.map(items())


@workflow
async def countdown(n: int) -> int:
    while n > 0:
        n = await add.step(n, -1)
    return n


@workflow
async def catches(text: str) -> str:
    try:
        await fail.step(text)
    except ValueError as error:
        return f"caught {error}"
    return "nothing"


@workflow
async def leaves_failure(x: int) -> int:
    fail("nobody looked")
    return await inc.step(x)


@workflow
async def sunk(depth: int) -> int:
    return await (sunk.step(depth - 1) if depth else fail.step("deep"))


@workflow
async def children(n: int) -> int:
    out = 0
    for i in range(n):
        out += await diamond.step(i)
    return out + await countdown.step(n)


@workflow
async def deep(n: int) -> int:
    return 0 if n == 0 else 1 + await deep.step(n - 1)


@workflow
async def tail(n: int) -> int:
    return inc(0) if n == 0 else await inc.step(n) and tail.step(n - 1).out


@workflow
async def ordered(x: int) -> list[float]:
    times = [weftrun.now()]
    await inc.step(x)
    times.append(weftrun.now())
    return [*times, weftrun.random().random()]


@workflow
async def foreign() -> int:
    import asyncio  # noqa: PLC0415

    await asyncio.sleep(0)
    return 1


@workflow
def uses_ref(x: int) -> int:
    if inc(x):
        return 1
    return 0


@workflow
def after_order(ledger: str) -> list[int]:
    first = noted.options(effects="visible")
    one = first(1, ledger)
    two = first.options(after=[one])(2, ledger)
    return [one, two]


@workflow
async def mixed(n: int, ledger: str) -> list[int]:
    out = []
    value = 0
    for i in range(n):
        value = await noted.step(value, ledger)
        if i % 3 == 0:
            out.append(sum(await noted_item.map(range(6), ledger=ledger)))
        if i % 4 == 0:
            out.append(await diamond.step(i))
        try:
            out.append(await fail_odd.step(i))
        except ValueError:
            out.append(-1)
    return [value, *out]


@function
def waits(gate: str) -> str:
    while not Path(gate).exists():
        time.sleep(0.01)
    return "open"


@function
def counted(x: int, lasts_s: float, ledger: str) -> int:
    here = weftrun.current()
    with Path(ledger).open("a") as file:
        file.write(f"{here.key} {here.attempt}\n")
        file.flush()
        fcntl.flock(file, fcntl.LOCK_SH)
        time.sleep(lasts_s)
    return x


@workflow
async def counts(n: int, lasts_s: float, ledger: str) -> int:
    """One Step after the other, each in the ledger when it is entered, and sharing a lock of it while it runs."""
    return sum([await counted.step(x, lasts_s, ledger) for x in range(n)])
