"""A warm no-op Function over HTTP, from start to value, beside what the same server does for a no-op of its own."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import litestar
import uvloop
from litestar.params import JSONBody
from msgspec import Struct

from experiments.table import Table

_CONNECTIONS = 32
_PATIENCE_S = 30.0
_FLOOR = "the server's own no-op"
_APP = """from weftrun import function


@function(effects="none")
def same(n: int) -> int:
    return n
"""


class Start(Struct):
    """What the server's own no-op reads: the same body as the gateway."""

    function: str
    args: list[int]
    wait_s: float
    durable: bool = True


@litestar.post("/api/v1/runs", status_code=200)
async def own_no_op(data: JSONBody[Start]) -> litestar.Response[bytes]:
    """Answer as the gateway would, and do nothing."""
    return litestar.Response(b'{"result":%d}' % data.args[0], media_type="application/json")


def own_app() -> litestar.Litestar:
    """Return the framework's app with a no-op, for the same server."""
    return litestar.Litestar([own_no_op], openapi_config=None, logging_config=None)


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Load each server in turn, round by round; each ratio is of two neighbours in the same round."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/gateway")
    parser.add_argument("--seconds", type=float, default=2.0 if quick else 5.0, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=2 if quick else 5, metavar="N", help="rounds of each setting")
    parser.add_argument("--connections", type=int, default=_CONNECTIONS, metavar="N", help="callers at once (32)")
    chosen = parser.parse_args(arguments)
    found: dict[str, list[Sequence[float]]] = {}
    with tempfile.TemporaryDirectory(dir=out) as folder:
        Path(folder, "app.py").write_text(_APP)
        for number in range(chosen.rounds):
            measured = _round(folder, number, chosen.seconds, chosen.connections)
            floor = measured[_FLOOR][0]
            for name, (rate, *latencies) in measured.items():
                found.setdefault(name, []).append((rate, rate / floor, *latencies))
    rows: list[Sequence[object]] = [
        (name, *map(statistics.median, zip(*rounds, strict=True))) for name, rounds in found.items()
    ]
    columns = ("who answers", "requests/s", "x its own no-op", "p50 ms", "p99 ms", "queued for a processor ms")
    title = f"{chosen.connections} connections, {chosen.rounds} rounds of {chosen.seconds:g} s, medians of rounds"
    notes = (
        "Durable: the Run's start and its end are on disk before the answer leaves. The callers, the server with the "
        "engine, the Sandboxes and the process that translates values share the processors of one host. Queued: what "
        "all threads of the server waited, of each request, to be run at all: the host's share of p50 and p99."
    )
    return [Table("gateway", title, columns, rows, notes)]


def _round(folder: str, number: int, seconds: float, connections: int) -> dict[str, tuple[float, ...]]:
    own = ["-m", "uvicorn", "experiments.faasbatch.gateway:own_app", "--factory", "--loop", "uvloop"]
    own += ["--http", "httptools", "--no-access-log", "--log-level", "error", "--port"]
    served = ["-m", "weftrun", "serve", "app.py", "--db", f"sqlite:///{folder}/{number}.db", "--port"]
    durable: dict[str, object] = {"function": "same", "args": [1], "wait_s": 30}
    passing = durable | {"durable": False}
    return {
        _FLOOR: _loaded(folder, own, durable, seconds, connections),
        "gateway, durable": _loaded(folder, served, durable, seconds, connections),
        "gateway, durable=False": _loaded(folder, served, passing, seconds, connections),
    }


def _loaded(folder: str, words: list[str], body: object, seconds: float, connections: int) -> tuple[float, ...]:
    """Start a server, warm it up, load it, and end it.

    Returns requests/s, p50, p99, and what its threads waited for a processor of each request, in milliseconds.
    """
    port = _free_port()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, *words, str(port)], cwd=folder, env=environment, stdout=subprocess.DEVNULL
    )
    try:
        request = _request(json.dumps(body).encode())
        uvloop.run(_answers(port, process))
        uvloop.run(_load(port, request, 1.0, connections))
        before = _queued_s(process.pid)
        took_s = uvloop.run(_load(port, request, seconds, connections))
        queued_s = _queued_s(process.pid) - before
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_PATIENCE_S)
    hundredths = statistics.quantiles(took_s, n=100)
    return len(took_s) / seconds, hundredths[49] * 1e3, hundredths[98] * 1e3, queued_s / len(took_s) * 1e3


def _queued_s(pid: int) -> float:
    """Return how long all threads of a process, and of all below it, have waited for a processor; 0 if none tells."""
    total_s = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile, or this kernel counts nothing
            total_s += int((task / "schedstat").read_text().split()[1]) / 1e9
            total_s += sum(_queued_s(int(child)) for child in (task / "children").read_text().split())
    return total_s


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _request(body: bytes) -> bytes:
    lines = ["POST /api/v1/runs HTTP/1.1", "Host: localhost", "Content-Type: application/json"]
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


async def _answers(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return when something listens on a port."""
    async with asyncio.timeout(_PATIENCE_S):
        while process.poll() is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise SystemExit(f"The server ended with {process.returncode} before it listened.")


async def _load(port: int, request: bytes, seconds: float, connections: int) -> list[float]:
    """Ask over so many connections, on each one request after the other; return what each took, in seconds."""
    took_s: list[float] = []
    until = time.perf_counter() + seconds
    loop = asyncio.get_running_loop()
    callers = [
        (await loop.create_connection(lambda: _Caller(request, until, took_s), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    async with asyncio.timeout(seconds + _PATIENCE_S):
        await asyncio.gather(*(caller.done for caller in callers))
    return took_s


class _Caller(asyncio.Protocol):
    """A connection that asks again when it was answered; as cheap as it can be, for it shares the processors."""

    def __init__(self, request: bytes, until: float, took_s: list[float]) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._until = until
        self._took_s = took_s
        self._came = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the first time."""
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def _ask(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Take (a part of) an answer, which must be a 200."""
        self._came += data
        head, ended, body = self._came.partition(b"\r\n\r\n")
        if not ended or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self._end(RuntimeError(f"The server answered {self._came.decode(errors='replace')}"))
            return
        self._came = b""
        now = time.perf_counter()
        self._took_s.append(now - self._began)
        if now < self._until:
            self._ask()
        else:
            self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail where the server went before it had answered."""
        self._end(exc or ConnectionError("The server closed a connection."))

    def _end(self, error: Exception | None) -> None:
        if not self.done.done():
            if error is None:
                self.done.set_result(None)
            else:
                self.done.set_exception(error)
        self._transport.close()
