"""The author's code that Sandboxes of these tests run."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from weftrun.model.errors import UsageError
from weftrun.model.ids import ObjectId
from weftrun.model.messages import Outcomes, ToSandbox
from weftrun.model.outcomes import Outcome, Ran
from weftrun.model.values import Object
from weftrun.sdk.function import function, workflow
from weftrun.sdk.place import current
from weftrun.wire.channel import Channel


@function
def inc(x: int) -> int:
    return x + 1


@function
def fails(text: str) -> None:
    raise ValueError(text)


@function
def fails_if_odd(x: int) -> int:
    if x % 2:
        raise ValueError(f"{x} is odd")
    return x


@function
def used_s() -> float:
    return time.process_time()


@function
def echo(value: Any) -> Any:
    return value


@function
def appends(values: list[int]) -> list[int]:
    values.append(0)
    return values


@function
def where() -> tuple[str, int, str]:
    now = current()
    return now.step_id, now.attempt, now.key


@function
def where_in_a_thread() -> list[str]:
    """A thread knows nothing of the Attempt, and is no run of its own: its key would be that of all others."""
    told = []

    def ask() -> None:
        try:
            told.append(str(where()))
        except UsageError as error:
            told.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    return [str(where()), *told]


@function
def segfault() -> None:
    ctypes.string_at(0)


@function
def exits(code: int) -> None:
    sys.exit(code)


@function
def exits_hard(code: int) -> None:
    os._exit(code)


@function
def interrupts() -> None:
    raise KeyboardInterrupt


@function
def unpicklable() -> Any:
    return {"conn": socket.socket()}


@function
def prints(nbytes: int) -> int:
    line = "x" * 999
    for _ in range(nbytes // 1000):
        print(line)
    print("the end")
    return nbytes


@function
def runs_program(nbytes: int) -> int:
    subprocess.run(["head", "-c", str(nbytes), "/dev/zero"], check=True, stdout=sys.stdout)
    os.write(1, b"the end")
    return nbytes


@function
def leaves_a_talker(fifo: str, told: str) -> None:
    """Leave a program that prints when somebody writes to `fifo`, and then makes the file `told`."""
    subprocess.Popen(["sh", "-c", 'read _ < "$0"; echo late; : > "$1"', fifo, told])


@function
def closes_its_streams() -> int:
    for descriptor in (1, 2):
        os.close(descriptor)
    return 1


@function
def prints_and_dies() -> None:
    print("last words")
    os.kill(os.getpid(), signal.SIGKILL)


@function
def sleeps(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@function
def forks(child_goes_on: bool) -> int:
    """The child comes back out of this Function too; it must not speak."""
    child = os.fork()
    if child == 0:
        if not child_goes_on:
            sys.exit(9)
        print("in the child")
        return -1
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@function
def starts_daemon(sign: str) -> int:
    """Leave a grandchild in a session of its own."""
    daemon = subprocess.Popen(["sleep", "300"], start_new_session=True, env={**os.environ, "SIGN": sign})
    return daemon.pid


@function
def allocates(nbytes: int) -> int:
    return len(bytearray(nbytes))


@function
def namespaces() -> dict[str, str]:
    return {name: os.readlink(f"/proc/self/ns/{name}") for name in ("pid", "user", "ipc", "mnt", "uts", "net")}


@function
def own_pid() -> int:
    return os.getpid()


@function
def belongings() -> dict[str, Any]:
    """What this process has of its own: kinds of descriptors, streams, the Attempt that runs."""
    links = [Path(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    kinds = sorted(str(link.readlink()).split(":")[0] for link in links if link.is_symlink())
    return {
        "descriptors": kinds,
        "streams": [sys.stdout.fileno(), sys.stderr.fileno(), sys.stdin.fileno()],
        "step": current().step_id,
        "threads": len(os.listdir("/proc/self/task")),
        "signals": [str(signal.getsignal(number)) for number in (signal.SIGTERM, signal.SIGCHLD)],
    }


@function
def can_read_memory_of(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/mem").open("rb").close()
    except PermissionError:
        return False
    return True


@function
def can_connect(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@function
def surroundings() -> dict[str, Any]:
    return {
        "cwd": os.getcwd(),
        "home": os.environ.get("HOME"),
        "hash_seed": os.environ["PYTHONHASHSEED"],
        "uid": os.getuid(),
        "stdin": sys.stdin.read(),
        "owner": _owner_of_new_file(),
        "session": os.getsid(0) == os.getpid(),
    }


def _owner_of_new_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.fstat(file.fileno()).st_uid


@function
def stops_at_breakpoint() -> None:
    breakpoint()  # noqa: T100 - this is what is tested


@function
async def sleeps_async(seconds: float) -> str:
    asyncio.get_running_loop().create_task(asyncio.sleep(300))
    await asyncio.sleep(seconds)
    return current().step_id


@function
def interrupts_itself() -> str:
    os.kill(os.getpid(), signal.SIGINT)
    return "went on"


@function
def sends_unsealed(nbytes: int) -> int:
    """Speak on the channel by itself, with a memfd that was not sealed, as no guest of ours does."""
    descriptor = os.memfd_create("unsealed")
    os.write(descriptor, b"\x00" + b"\x80\x05K\x07.")
    claim = Outcome(0, 1, Object(ObjectId(-1), nbytes), None, Ran())
    channel: Channel[Any] = Channel(_own_channel(), ToSandbox, frame_bytes_max=1 << 20)
    channel.send(Outcomes(1, (claim,)), [descriptor])
    time.sleep(300)
    return 0


@function
def names_foreign_object(number: int) -> int:
    channel: Channel[Any] = Channel(_own_channel(), ToSandbox, frame_bytes_max=1 << 20)
    channel.send(Outcomes(1, (Outcome(0, 1, Object(ObjectId(number), 6), None, Ran()),)))
    time.sleep(300)
    return 0


def _own_channel() -> socket.socket:
    for name in os.listdir("/proc/self/fd"):
        try:
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue
        if found.family == socket.AF_UNIX:
            return found
    raise RuntimeError("no channel")


@function
def call_it(name: str) -> Any:
    return {"conn": socket.socket()} if name == "unpicklable" else name


@function
def dies_at_three(x: int) -> int:
    if x == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


@workflow
def wires(x: int) -> int:
    print("wiring")
    return inc(inc(x))


@workflow
async def watches(x: int) -> int:
    return await inc.step(await inc.step(x))


@workflow
def maps(count: int) -> list[int]:
    return inc.map(range(count))


@workflow
async def calls_with(count: int, word: str) -> int:
    for i in range(count):
        echo.step(f"{i}{word}")
    return count


def sign(path: str) -> None:
    with open(f"{path}.in", "w"):
        pass


@workflow
def wires_after(path: str) -> int:
    sign(path)
    while not os.path.exists(path):
        time.sleep(0.001)
    return inc(1)


@workflow
def holds_the_interpreter(path: str) -> int:
    sign(path)
    re.match(r"(a+)+$", "a" * 60 + "b")
    return inc(1)


@workflow
def hears_no_signal(path: str) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    sign(path)
    while True:
        time.sleep(1)
