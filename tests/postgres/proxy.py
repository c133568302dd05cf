"""Stands between a client and the server on a Unix socket, counts round trips, and can cut a connection."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

EXECUTE, SYNC, READY = b"E", b"S", b"Z"


class Messages:
    """Cuts one direction of a connection into messages: a type, a length that counts itself, and a body."""

    def __init__(self, *, startup: bool) -> None:
        self._data = b""
        self._startup = startup

    def types(self, data: bytes) -> Iterator[bytes]:
        """Yield the types of the messages that are whole now; that of the first one of a client is empty."""
        self._data += data
        while True:
            before = 0 if self._startup else 1
            if len(self._data) < before + 4:
                return
            length = before + int.from_bytes(self._data[before : before + 4], "big")
            if len(self._data) < length:
                return
            yield self._data[:before]
            self._data = self._data[length:]
            self._startup = False


class Proxy:
    """Forwards one connection after the other.

    Attributes:
        syncs: how many times a client ended what it said and asked for the answer: round trips.
        cut: `before`: the next statement that a client executes does not reach the server; `after`: it does, and the
            server has done it, but its answer is lost. Both end the connection, and are over then.
        times: how many statements are cut like that, one after the other.
    """

    def __init__(self, folder: Path, server: Path) -> None:
        self.syncs = 0
        self.cut = ""
        self.times = 1
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.name))
        self._listener.listen()
        self._stop, self._stopped = socket.socketpair()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """End the thread, and with it the connection."""
        self._stop.close()
        self._thread.join(10)
        self._stopped.close()
        self._listener.close()

    def _serve(self) -> None:
        while self._listener in select.select([self._listener, self._stopped], [], [])[0]:
            client, _ = self._listener.accept()
            server = socket.socket(socket.AF_UNIX)
            with client, server, contextlib.suppress(OSError):
                server.connect(str(self._server))
                if not self._forward(client, server):
                    return

    def _forward(self, client: socket.socket, server: socket.socket) -> bool:
        """Forward until one end closes, or the connection is cut; False to stop altogether."""
        said, answered = Messages(startup=True), Messages(startup=False)
        cut = ""
        while True:
            readable = select.select([client, server, self._stopped], [], [])[0]
            if self._stopped in readable:
                return False
            if client in readable:
                data = client.recv(1 << 16)
                kinds = list(said.types(data))
                self.syncs += kinds.count(SYNC)
                if EXECUTE in kinds and self.cut:
                    cut, self.times = self.cut, self.times - 1
                    if self.times == 0:
                        self.cut, self.times = "", 1
                if not data or cut == "before":
                    return True
                server.sendall(data)
            if server in readable:
                data = server.recv(1 << 16)
                if not data:
                    return True
                ready = READY in list(answered.types(data))
                if not cut:
                    client.sendall(data)
                elif ready:
                    return True
