"""A link of so many bytes a second: a proxy on the loopback interface that holds back what is too quick."""

from __future__ import annotations

import socket
import threading
import time

_PIECE = 16_384


class _Pace:
    """Lets bytes through at a rate, in one direction of all connections together."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait(self, nbytes: int) -> None:
        with self._lock:
            now = time.perf_counter()
            self._free_at = max(self._free_at, now) + nbytes / self._rate
            until = self._free_at
        if until - now > 0.0005:
            time.sleep(until - now)


class Link:
    """A proxy to a server on this host.

    Attributes:
        url: where it listens.
    """

    def __init__(self, port: int, bytes_per_s: float) -> None:
        """Lead to a port of this host, at a rate in each direction."""
        self._to = port
        self._paces = (_Pace(bytes_per_s), _Pace(bytes_per_s))
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", self._to))
            for one, other, pace in ((near, far, self._paces[0]), (far, near, self._paces[1])):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=_pass_on, args=(one, other, pace), daemon=True).start()


def _pass_on(one: socket.socket, other: socket.socket, pace: _Pace) -> None:
    try:
        while piece := one.recv(_PIECE):
            pace.wait(len(piece))
            other.sendall(piece)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass
