"""Killing what a Sandbox has started and left behind.

Found by the ipc namespace that only this Sandbox and its descendants are in; where there is none, by the session it
led. What left both by itself (on a host without namespaces: every daemon) lives on until the zygote ends. What runs as
another user (`privileges="keep"`) can't be killed by an ordinary one.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from typing import Final

_ROUNDS_MAX: Final = 50
_DEATH_MS: Final = 1_000


def namespace_of(pid: int) -> int:
    """Return the number of a process's ipc namespace, or 0 where it can't be read."""
    try:
        return os.stat(f"/proc/{pid}/ns/ipc").st_ino
    except OSError:
        return 0


def held_namespace(pid: int) -> int:
    """Return a descriptor of a process's ipc namespace, or -1 where it can't be had."""
    try:
        return os.open(f"/proc/{pid}/ns/ipc", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return -1


def kill_orphans(leader: int, namespace: int) -> None:
    """Kill all that belongs to the ended Sandbox `leader`, again and again until nothing is found.

    `namespace` is its own ipc namespace, or 0 where it shared its zygote's.
    """
    for _ in range(_ROUNDS_MAX):
        found = [pid for pid in _processes() if _belongs(pid, leader, namespace)]
        if not _kill_all(found):
            return


def kill_descendants() -> None:
    """Kill all descendants of this process, which is their subreaper, until none is found."""
    own = os.getpid()
    for _ in range(_ROUNDS_MAX):
        parents = {pid: stat[1] for pid in _processes() if (stat := _stat(pid)) is not None}
        found = [pid for pid in parents if _descends(pid, own, parents)]
        if not _kill_all(found):
            return


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid == ancestor:
            return True
    return False


def _processes() -> list[int]:
    own = os.getpid()
    return [int(name) for name in os.listdir("/proc") if name.isdecimal() and int(name) != own]


def _belongs(pid: int, leader: int, namespace: int) -> bool:
    if namespace:
        return namespace_of(pid) == namespace
    stat = _stat(pid)
    return stat is not None and stat[0] == leader


def _stat(pid: int) -> tuple[int, int] | None:
    """Return session and parent of a process that is alive."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, parent, _, session, *_ = file.read().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if state in b"ZX" else (int(session), int(parent))


def _kill_all(pids: list[int]) -> bool:
    """Kill these and wait for their end; say whether any could be killed, which those of another user can't."""
    poll = select.poll()
    descriptors = []
    refused = 0
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            descriptors.append(descriptor)
            try:
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            except PermissionError:
                refused += 1
            else:
                poll.register(descriptor, select.POLLIN)
    left = len(descriptors) - refused
    while left:
        ended = poll.poll(_DEATH_MS)
        if not ended:
            break
        for descriptor, _ in ended:
            poll.unregister(descriptor)
        left -= len(ended)
    for descriptor in descriptors:
        os.close(descriptor)
    return len(pids) > refused
