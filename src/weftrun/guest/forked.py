"""An Attempt in a fork of its warm Sandbox: it has a processor of its own, and its end is nobody else's.

The parent waits in one of its threads and tells what came of it; the fork speaks with nobody. What it found stands in a
piece of memory that both have, and what it prints in the Attempt's slot of the page.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import threading
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct

from weftrun.guest import kernel
from weftrun.guest.generators import draw_afresh_again
from weftrun.model.emits import Emit
from weftrun.model.outcomes import Failure
from weftrun.sdk.codec import Encoded
from weftrun.wire.frames import HEADER

_forking: Final = threading.Lock()


class Found(Struct, frozen=True, array_like=True):
    """What came of an Attempt in a fork.

    Attributes:
        failure: how it has failed; None where it returned.
        shown: a preview of what it returned.
        emits: what it has emitted.
    """

    failure: Failure | None
    shown: str = ""
    emits: tuple[Emit, ...] = ()


class ForkEnded(NamedTuple):
    """How a fork has ended.

    Attributes:
        found: what it told; None where it ended before it had.
        value: what it returned, encoded; None where it did not.
        why: how the process ended, for people.
        was_late: whether it was ended since its time was over.
    """

    found: Found | None
    value: Encoded | None
    why: str
    was_late: bool


def in_fork(
    work: Callable[[], tuple[Found, Encoded | None]], fork: Callable[[], int], left_s: float | None
) -> ForkEnded:
    """Do `work` in a fork of this process, and return how it ended; called in a thread of the Sandbox.

    Args:
        work: what the fork does; it raises nothing.
        fork: forks; both go on in this function.
        left_s: the fork is killed after so many seconds; None lets it run.

    Raises:
        OSError: this host allows no more processes.
    """
    memory = os.memfd_create("weftrun-fork", os.MFD_CLOEXEC)
    try:
        sandbox = os.getpid()
        with _forking:  # so that no two hold what another thread needs to fork
            pid = fork()
        if not pid:
            _be_the_fork(work, memory, sandbox)
        code, was_late = _waited(pid, left_s)
        found, value = _read(memory) if not code else (None, None)  # of one that was killed it may be half a value
        return ForkEnded(found, value, _ending(code), was_late)
    finally:
        os.close(memory)


def _be_the_fork(work: Callable[[], tuple[Found, Encoded | None]], memory: int, sandbox: int) -> None:
    """Work, leave what was found in the shared memory, and end."""
    code = 70
    try:
        kernel.die_with_parent(signal.SIGKILL)
        if os.getppid() != sandbox:
            os._exit(0)
        draw_afresh_again()
        found, value = work()
        body = msgspec.msgpack.encode(found)
        pieces: list[Any] = [HEADER.pack(len(body), int(value is not None)), body]
        with open(memory, "wb", closefd=False) as file:
            file.writelines(pieces if value is None else [*pieces, *value.pieces])
        code = 0
    finally:
        os._exit(code)


def _waited(pid: int, left_s: float | None) -> tuple[int, bool]:
    """Return how a fork ended, as `os.waitstatus_to_exitcode` says it, and whether it was killed for its time."""
    was_late = False
    if left_s is not None:
        pidfd = os.pidfd_open(pid)
        try:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(max(0.0, left_s) * 1e3):
                was_late = True
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        finally:
            os.close(pidfd)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), was_late


def _read(memory: int) -> tuple[Found | None, Encoded | None]:
    """Return what a fork has left; nothing where it ended in between."""
    with open(memory, "rb", closefd=False) as file:
        file.seek(0)
        whole = file.read()
    if len(whole) < HEADER.size:
        return None, None
    length, has_value = HEADER.unpack_from(whole)
    end = HEADER.size + length
    with contextlib.suppress(msgspec.MsgspecError):
        found = msgspec.msgpack.decode(whole[HEADER.size : end], type=Found)
        value = memoryview(whole)[end:]
        return found, Encoded([value], len(value), ()) if has_value else None
    return None, None


def _ending(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"
