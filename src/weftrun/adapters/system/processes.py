"""Telling at once that another process of this host has ended."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

from weftrun.adapters.system.loop import UvLoop


class ProcessWatch:
    """Watches processes by descriptors that the kernel makes readable in the moment in which they end.

    No more than a hint: a process that can't be seen from here, or has ended by now, is passed by, and a number may
    belong to another process than was meant. In the loop's thread.
    """

    def __init__(self, loop: UvLoop) -> None:
        """Watch nothing yet."""
        self._loop = loop
        self._watched: dict[int, int] = {}
        self._told: set[int] = set()

    def watch(self, pids: Iterable[int], ended: Callable[[], None]) -> None:
        """Watch these processes from now on, and no others; call `ended`, once for each, when one has ended."""
        asked_for = set(pids)
        # One that nobody has waited for yet could be seen to end again and again.
        self._told &= asked_for
        wanted = asked_for - self._told - {os.getpid()}
        for pid in self._watched.keys() - wanted:
            self._forget(pid)
        for pid in wanted - self._watched.keys():
            try:
                descriptor = os.pidfd_open(pid)
            except OSError:
                continue
            self._watched[pid] = descriptor
            self._loop.add_reader(descriptor, self._came, pid, ended)

    def close(self) -> None:
        """Release everything, once the loop has ended. Idempotent."""
        while self._watched:
            _, descriptor = self._watched.popitem()
            os.close(descriptor)

    def _came(self, pid: int, ended: Callable[[], None]) -> None:
        self._forget(pid)
        self._told.add(pid)
        ended()

    def _forget(self, pid: int) -> None:
        descriptor = self._watched.pop(pid)
        self._loop.remove_reader(descriptor)
        os.close(descriptor)
