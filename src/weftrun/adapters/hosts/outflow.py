"""What other Workers were promised and do not have yet, and how fast it leaves this host, as the kernel measures it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
import threading
from collections.abc import Iterable, Iterator
from typing import Final

from weftrun.model.ids import ObjectId, WorkerId

_TCP_INFO: Final = struct.Struct("=120xQ40xQ")
"""Of `struct tcp_info` (linux/tcp.h): bytes that the other end has acknowledged, and for how many microseconds there
was something to send. So it does not count that a buffer has taken them."""
_COUNT: Final = struct.Struct("=i")
_KEPT: Final = 0.7
"""The share of earlier measurements that each new one leaves."""
_LEAST_S: Final = 0.002
"""What takes less time says nothing of a link."""


class Outflow:
    """Counts what leaves this host for its engine's other Workers. From any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._to: dict[WorkerId, _Way] = {}

    def promised(self, worker: WorkerId, oid: ObjectId, nbytes: int) -> None:
        """A Worker was told of an Object, which it will ask for."""
        with self._lock:
            self._way(worker).promised[oid] = nbytes

    @contextlib.contextmanager
    def connected(self, worker: WorkerId, sock: socket.socket) -> Iterator[None]:
        """A Worker asks for Objects over this connection as long as the block lasts."""
        with self._lock:
            self._way(worker).told[sock] = _told_by(sock)
        try:
            yield
        finally:
            with self._lock:
                self._way(worker).told.pop(sock, None)

    def took(self, worker: WorkerId, sock: socket.socket, oid: ObjectId, nbytes: int) -> None:
        """The kernel has taken so many more bytes of an Object, to send them."""
        with self._lock:
            way = self._way(worker)
            left = way.promised.pop(oid, 0) - nbytes
            if left > 0:
                way.promised[oid] = left
            way.measure(sock)

    def forgotten(self, objects: Iterable[ObjectId]) -> None:
        """Nobody needs these any more."""
        with self._lock:
            for way in self._to.values():
                for oid in objects:
                    way.promised.pop(oid, None)

    def part(self, worker: WorkerId) -> None:
        """A Worker is gone."""
        with self._lock:
            self._to.pop(worker, None)

    def leaves_in_s(self) -> float:
        """Return how long the slowest of what is promised still needs, in seconds; 0 where no speed is known yet."""
        with self._lock:
            return max((way.leaves_in_s() for way in self._to.values()), default=0.0)

    def _way(self, worker: WorkerId) -> _Way:
        return self._to.setdefault(worker, _Way())


class _Way:
    """The way to one Worker.

    Attributes:
        promised: bytes of Objects that the kernel has not taken yet.
        told: what the kernel has told of each open connection.
    """

    def __init__(self) -> None:
        self.promised: dict[ObjectId, int] = {}
        self.told: dict[socket.socket, tuple[int, int]] = {}
        self._bytes = self._seconds = 0.0

    def measure(self, sock: socket.socket) -> None:
        """See how much has arrived over a connection since the last time, and in which time."""
        before, now = self.told.get(sock), _told_by(sock)
        seconds = (now[1] - before[1]) / 1e6 if before is not None else 0.0
        if before is not None and seconds >= _LEAST_S:
            self._bytes = self._bytes * _KEPT + now[0] - before[0]
            self._seconds = self._seconds * _KEPT + seconds
            self.told[sock] = now

    def leaves_in_s(self) -> float:
        for sock in self.told:
            self.measure(sock)
        if not self._bytes:
            return 0.0
        waiting = sum(self.promised.values()) + sum(map(_in_kernel, self.told))
        return waiting * self._seconds / self._bytes


def _told_by(sock: socket.socket) -> tuple[int, int]:
    """Return bytes that have arrived, and for how many microseconds some were on their way; zeros where not known."""
    with contextlib.suppress(OSError):
        told = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
        if len(told) == _TCP_INFO.size:
            acknowledged, busy_us = _TCP_INFO.unpack(told)
            return acknowledged, busy_us
    return 0, 0


def _in_kernel(sock: socket.socket) -> int:
    """Return how many bytes were written that have not arrived."""
    with contextlib.suppress(OSError):
        (count,) = _COUNT.unpack(fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(_COUNT.size)))
        return int(count)
    return 0
