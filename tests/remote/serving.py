"""Servers of the tests: one of Functions, and one that answers whatever a test gives it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn

from weftrun.sdk.asgi import ASGIApp


@contextlib.contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an app on a port of its own, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="on"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


class Script:
    """Answers each connection with the next of `answers`, in parts, and keeps what it was sent.

    After an answer the connection is closed; an empty part waits until the caller has gone.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes]] = {}
        self.asked: list[bytes] = []
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            asked = _request(connection)
            self.asked.append(asked)
            path = asked.split(b" ", 2)[1].decode()
            for part in self.answers.get(path, []):
                if part:
                    connection.sendall(part)
                else:
                    connection.recv(1 << 16)

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()


def _request(connection: socket.socket) -> bytes:
    """Read a request to its end: what is left unread when it is closed resets the connection. A long body is left."""
    asked = b""
    while b"\r\n\r\n" not in asked:
        asked += connection.recv(1 << 16)
    head, _, body = asked.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0] or 0)
    while len(body) < length < 1_000_000:
        body += connection.recv(1 << 16)
    return asked


def answer(status: int, body: bytes = b"", *headers: str, length: int | None = None) -> list[bytes]:
    """Return an answer, which may lie about its length."""
    lines = [f"HTTP/1.1 {status} Told", f"Content-Length: {len(body) if length is None else length}", *headers]
    return ["\r\n".join([*lines, "", ""]).encode() + body]
