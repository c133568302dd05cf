"""`python -m bench.http_servers`: what a request costs that does nothing, by framework and by server, in one run.

Each pair serves one route that reads a small JSON object and answers one; the last row is the gateway with a warm
no-op Function, durable, from start to value. Rounds go through all of them in turn; a row is the median of its rounds,
and the ratio is to the row above all others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import fastapi
import litestar
from litestar.params import JSONBody
from msgspec import Struct
from pydantic import BaseModel

CONNECTIONS = 32
BODY = json.dumps({"function": "nothing", "args": [1], "wait_s": 30}).encode()
PAIRS = [(framework, server) for framework in ("litestar", "fastapi") for server in ("uvicorn", "granian")]
APP = "from weftrun import function\n\n\n@function(effects='none')\ndef nothing(n: int) -> int:\n    return n\n"


class Start(Struct):
    function: str
    args: list[int]
    wait_s: float


class StartModel(BaseModel):
    function: str
    args: list[int]
    wait_s: float


def answer(n: int) -> bytes:
    return b'{"result":%d}' % n


@litestar.post("/runs", status_code=200)
async def litestar_start(data: JSONBody[Start]) -> litestar.Response[bytes]:
    return litestar.Response(answer(data.args[0]), media_type="application/json")


async def fastapi_start(data: StartModel) -> fastapi.Response:
    return fastapi.Response(answer(data.args[0]), media_type="application/json")


def litestar_app() -> litestar.Litestar:
    return litestar.Litestar([litestar_start], openapi_config=None, logging_config=None)


def fastapi_app() -> fastapi.FastAPI:
    app = fastapi.FastAPI(openapi_url=None)
    app.post("/runs")(fastapi_start)
    return app


def command(framework: str, server: str, port: int) -> list[str]:
    target = f"bench.http_servers:{framework}_app"
    if server == "uvicorn":
        words = ["-m", "uvicorn", target, "--factory", "--port", str(port), "--no-access-log", "--log-level", "error"]
        return [sys.executable, *words, "--loop", "uvloop", "--http", "httptools"]
    words = ["-m", "granian", "--interface", "asgi", target, "--factory", "--port", str(port), "--no-log"]
    return [sys.executable, *words, "--loop", "uvloop", "--workers", "1"]


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    for _ in range(600):
        with socket.socket() as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


async def _connection(port: int, path: str, until: float, took_s: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n\r\n"
    request = head.encode() + BODY
    while time.perf_counter() < until:
        began = time.perf_counter()
        writer.write(request)
        answer = await reader.readuntil(b"\r\n\r\n")
        if not answer.startswith(b"HTTP/1.1 200"):
            raise SystemExit(answer.decode())
        lines = answer.lower().split(b"\r\n")
        length = next(int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length"))
        await reader.readexactly(length)
        took_s.append(time.perf_counter() - began)
    writer.close()


async def load(port: int, path: str, seconds: float) -> tuple[float, float]:
    """Return requests per second, and the 99th percentile of what one took, in seconds."""
    took_s: list[float] = []
    until = time.perf_counter() + seconds
    await asyncio.gather(*(_connection(port, path, until, took_s) for _ in range(CONNECTIONS)))
    return len(took_s) / seconds, statistics.quantiles(took_s, n=100)[98]


def measured(words: list[str], port: int, path: str, seconds: float, folder: str) -> tuple[float, float]:
    """Start a server, load it, and end it."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(words, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    try:
        wait_for(port)
        asyncio.run(load(port, path, 0.5))
        return asyncio.run(load(port, path, seconds))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="of load in each round")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "app.py").write_text(APP)
        for number in range(chosen.rounds):
            for framework, server in PAIRS:
                port = free_port()
                words = command(framework, server, port)
                row = measured(words, port, "/runs", chosen.seconds, folder)
                found.setdefault(f"{framework} on {server}", []).append(row)
            port = free_port()
            words = [sys.executable, "-m", "weftrun", "serve", "app.py", "--port", str(port)]
            words += ["--db", f"sqlite:///{folder}/{number}.db"]
            found.setdefault("gateway", []).append(measured(words, port, "/api/v1/runs", chosen.seconds, folder))
    floor = statistics.median(rate for rate, _ in found["litestar on uvicorn"])
    print(f"{CONNECTIONS} connections, {chosen.rounds} rounds of {chosen.seconds:g} s\n")
    print(f"{'':24}{'requests/s':>12}{'ratio':>8}{'p99':>12}")
    for name, rows in found.items():
        rate, p99 = (statistics.median(column) for column in zip(*rows, strict=True))
        print(f"{name:24}{rate:12,.0f}{rate / floor:8.2f}{p99 * 1e3:9.1f} ms")


if __name__ == "__main__":
    main()
