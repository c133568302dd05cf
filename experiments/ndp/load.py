"""Calls at a steady rate over the doors of Faasm, of which a share may run near storage: time, and what moves."""

from __future__ import annotations

import asyncio
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

from experiments.ndp.functions import CALLS, built, text
from experiments.table import Table

_COLUMNS = (
    "function", "calls/s", "may run near", "calls", "failed", "ran near", "median (ms)", "99th percentile (ms)",
    "received from storage (bytes a call)",
)  # fmt: skip
_TIMEOUT_S = 60.0


class _Called(NamedTuple):
    """One call: how long it took, whether it failed, whether it ran near, and bytes that came from the storage role."""

    took_s: float
    failed: bool
    near: bool
    nbytes: int


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    """Serve the doors with a Journal in a folder; give the URL."""
    words = ["serve", "--compat", "faasm", "--port", "0", "--storage-port", "0"]
    words += ["--db", f"sqlite:///{folder}/journal.db"]
    with subprocess.Popen([sys.executable, "-m", "weftrun", *words], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            told = re.search(r"http://[\w.:]+", server.stdout.readline())
            if told is None:
                raise RuntimeError("weftrun serve did not start")
            yield told[0]
        finally:
            server.terminate()


async def _call(client: httpx.AsyncClient, name: str, *, may_move: bool) -> _Called:
    asked = {"user": "ndp", "function": name, "input_data": CALLS[name], "forbid_ndp": not may_move}
    began = time.perf_counter()
    try:
        answer = await client.post("/f/", json=asked)
    except httpx.HTTPError:
        return _Called(time.perf_counter() - began, True, False, 0)
    near = answer.headers.get("weftrun-near", "").startswith("near")
    nbytes = int(answer.headers.get("weftrun-bytes-back", 0))
    return _Called(time.perf_counter() - began, answer.status_code != httpx.codes.OK, near, nbytes)


async def _offered(url: str, name: str, rate: float, share: float, seconds: float) -> list[_Called]:
    """Make calls at a rate whatever becomes of them: who waits for an answer offers less than is asked for."""
    calls: list[asyncio.Task[_Called]] = []
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT_S, limits=limits) as client:
        began, moved = time.perf_counter(), 0
        for number in range(max(1, round(rate * seconds))):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            may_move = moved < share * (number + 1)
            moved += may_move
            calls.append(asyncio.create_task(_call(client, name, may_move=may_move)))
        return list(await asyncio.gather(*calls))


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Offer each rate with each share of calls that may run near storage."""
    nbytes, seconds = (1 << 18, 1.0) if quick else (1 << 20, 5.0)
    rates = (5, 20) if quick else (5, 10, 20, 40)
    names = ("substr",) if quick else ("substr", "wordcount")
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory() as folder, _served(Path(folder)) as url:
        for name in ("put", *names):
            content = Path(built(out, name)).read_bytes()
            httpx.put(f"{url}/f/ndp/{name}", content=content, timeout=_TIMEOUT_S).raise_for_status()
        put = {"user": "ndp", "function": "put", "input_data": f"text {text(nbytes).decode()}"}
        httpx.post(f"{url}/f/", json=put, timeout=_TIMEOUT_S).raise_for_status()
        for name in names:
            for rate in rates:
                for share in (0.0, 0.5, 1.0):
                    calls = asyncio.run(_offered(url, name, rate, share, seconds))
                    took = sorted(call.took_s * 1e3 for call in calls)
                    rows.append([
                        name, rate, f"{share:.0%}", len(calls), sum(call.failed for call in calls),
                        sum(call.near for call in calls), statistics.median(took), took[int(len(took) * 0.99)],
                        statistics.fmean(call.nbytes for call in calls),
                    ])  # fmt: skip
    title = f"Calls on a key of {nbytes >> 10} KiB, offered at a steady rate for {seconds:g} s each"
    notes = (
        "Server, storage role and the caller share this host's processors, and no link holds anything back, so this "
        "shows what the roles cost, not what a network does. A call that may run near does so where that is expected "
        "to be quicker."
    )
    return [Table("load", title, _COLUMNS, rows, notes)]
