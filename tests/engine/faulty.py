"""Functions and workflows that do what nobody should, and some that wait for a test. Sandboxes import it by name."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import weftrun
from weftrun import function, workflow
from weftrun.wire.memfd import SEALS

T = TypeVar("T")


def enter(ledger: str, what: object = "") -> None:
    """Append the Step that runs to a file outside the engine, in one write."""
    descriptor = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(descriptor, f"{weftrun.current().step_id} {what}\n".encode())
    os.close(descriptor)


def wait_for(path: str) -> None:
    """Return when a file is there: the test lets this Attempt go on."""
    while not Path(path).exists():
        time.sleep(0.002)


# ---------------------------------------------------------------------- what is well


@function
def inc(x: int) -> int:
    return x + 1


@function
def naps(seconds: float) -> str:
    time.sleep(seconds)
    return "woke"


@workflow
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = inc(x)
    return x


# ---------------------------------------------------------------------- what breaks its Sandbox


@function
def segfault() -> None:
    ctypes.string_at(0)


@function
def exits(code: int) -> None:
    sys.exit(code)


@function
def exits_hard(code: int) -> None:
    os._exit(code)


@function(memory_bytes_max=64 << 20)
def greedy() -> int:
    return len(bytearray(512 << 20))


@function
def prints(nbytes: int) -> int:
    line = "x" * 99_999
    for _ in range(nbytes // 100_000):
        print(line)
    print("the end")
    return nbytes


@function
def pours(nbytes: int) -> int:
    """Print from another program, past Python's own streams."""
    subprocess.run(["head", "-c", str(nbytes), "/dev/zero"], check=True, stdout=sys.stdout)
    return nbytes


@function
def two_come_back(ledger: str) -> int:
    """The forked child comes back out of this Function too."""
    child = os.fork()
    enter(ledger, "child" if child == 0 else "parent")
    if child == 0:
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def start_grandchild(sign: str) -> None:
    """Start a program in a session of its own that would go on for minutes."""
    program = "trap '' TERM HUP INT; sleep 300 & sleep 300"
    subprocess.Popen(["sh", "-c", program], start_new_session=True, env={**os.environ, "SIGN": sign})


@function
def leaves_grandchild(sign: str) -> str:
    start_grandchild(sign)
    return sign


@function(timeout_s=0.3)
def sleeps_with_grandchild(sign: str) -> None:
    start_grandchild(sign)
    time.sleep(300)


@function(timeout_s=0.3)
def hears_no_signal_with_grandchild(sign: str) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    threading.Thread(target=time.sleep, args=(300,)).start()
    start_grandchild(sign)
    while True:
        try:
            time.sleep(300)
        except BaseException:  # noqa: BLE001  # that is the point
            continue


@function(timeout_s=0.3)
def holds_the_interpreter_with_grandchild(sign: str) -> None:
    start_grandchild(sign)
    re.match(r"(a+)+$", "a" * 60 + "b")


@function(timeout_s=0.3)
def stops_itself() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


@function(retries=0)
def closes_everything() -> int:
    os.closerange(0, 1_000)
    return 1


@function
def kills_its_parent(ledger: str, number: int) -> str:
    """What a Function can reach of its engine: the zygote, which the kernel may protect from it."""
    enter(ledger)
    os.kill(os.getppid(), number)
    time.sleep(0.05)
    return "went on"


@function
def ends_its_engine(ledger: str, order: str) -> None:
    """Leave the order that a thread of the engine's process carries out, as a fault of the host would."""
    enter(ledger)
    Path(order).touch()
    time.sleep(300)


@function
def unsealed(nbytes: int) -> bytes:
    """Give a memfd that was not sealed, and keep a descriptor of it."""
    plain = fcntl.fcntl

    def keep(descriptor: int, command: int, value: int = 0) -> int:
        if command == fcntl.F_ADD_SEALS and value == SEALS:
            os.dup2(descriptor, 900)
            return 0
        return plain(descriptor, command, value)

    fcntl.fcntl = keep
    return b"a" * nbytes


@function(effects="none")
def overwrites(value: bytes) -> bool:
    """Change what the Function before it gave; return whether it could. To be run in the same Sandbox."""
    try:
        os.pwrite(900, b"b" * 100_000, 100)
    except OSError:
        return False
    return True


@function
def spoils(value: bytes, could: bool) -> tuple[bool, bool]:
    return could, value == b"a" * len(value)


@workflow
def tampers(nbytes: int) -> tuple[bool, bool]:
    value = unsealed(nbytes)
    return spoils(value, overwrites(value))


# ---------------------------------------------------------------------- what waits for a test


@function(effects="none")
def plus(x: int, ledger: str) -> int:
    enter(ledger)
    return x + 1


@function
def seen(x: int, ledger: str) -> int:
    enter(ledger, "seen")
    return x


@function(effects="none")
def after_file(path: str, x: T) -> T:
    wait_for(path)
    return x


@function
def noted_after_file(ledger: str, path: str, x: int) -> int:
    enter(ledger)
    wait_for(path)
    return x


@function(effects="none")
def big(nbytes: int, ledger: str) -> bytes:
    enter(ledger)
    return os.urandom(1) * nbytes


@function(effects="none")
def length(value: bytes, ledger: str) -> int:
    enter(ledger)
    return len(value)


@workflow
def behind_a_blob(nbytes: int, ledger: str) -> int:
    """A large value, what is computed of it, and then what may be seen outside."""
    return seen(length(big(nbytes, ledger), ledger), ledger)


@function(effects="none")
def longer(value: bytes, ledger: str) -> bytes:
    enter(ledger)
    return value + b"."


@workflow
def in_flight(path: str, n: int, ledger: str, nbytes: int = 0) -> int:
    """Values that nobody waits for, made after the file is there; and at last one that may be seen outside."""
    value = after_file(path, bytes(nbytes))
    for _ in range(n):
        value = longer(value, ledger)
    return seen(length(value, ledger), ledger)


@workflow
def large_in_flight(path: str, nbytes: int, ledger: str) -> int:
    return seen(length(big(after_file(path, nbytes), ledger), ledger), ledger)


@workflow
def keeps_large_then_waits(nbytes: int, ledger: str, path: str) -> int:
    value = big(nbytes, ledger)
    return length.options(after=[after_file.step(path, 0)])(value, ledger)


@function
def fails_once_entered(ledger: str) -> int:
    enter(ledger)
    raise ValueError("as it always does")


@workflow
async def catches_then_waits(ledger: str, path: str) -> list[object]:
    try:
        await fails_once_entered.step(ledger)
        caught = ""
    except ValueError as error:
        caught = str(error)
    first = await plus.step(1, ledger)
    await after_file.step(path, 0)
    return [caught, first, await seen.step(2, ledger)]


@function(effects="none")
def square(x: int, ledger: str) -> int:
    enter(ledger)
    return x * x


def counted(n: int, half: str, path: str) -> Iterator[int]:
    """Yield numbers; say when half of them were taken, and wait there for a file."""
    for i in range(n):
        if i == n // 2:
            Path(half).touch()
            wait_for(path)
        yield i


@function(deterministic=True, effects="none")
def total(xs: list[int]) -> int:
    return sum(xs)


@workflow
def slow_input(n: int, half: str, path: str, ledger: str) -> int:
    return total(square.map(counted(n, half, path), ledger=ledger))


@workflow
def dies_in_its_input(n: int, once: str, ledger: str) -> int:
    """The iterator kills the Sandbox of its body, the first time it is half way."""

    def items() -> Iterator[int]:
        for i in range(n):
            if i == n // 2 and not Path(once).exists():
                Path(once).touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield i

    return total(square.map(items(), ledger=ledger))


@function(effects="none")
def square_or_wait(x: int, ledger: str, path: str, waits_from: int) -> int:
    enter(ledger)
    if x >= waits_from:
        wait_for(path)
    return x * x


@workflow
def big_map(n: int, ledger: str, path: str) -> int:
    """Of its items the last quarter wait for a file."""
    return total(square_or_wait.map(range(n), ledger=ledger, path=path, waits_from=n * 3 // 4))
