"""Calls that come at their times, as their callers see them, and what the Sandboxes that served them took."""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import weftrun
from experiments.faasbatch import functions

# Arrivals in each second of the trace in the paper's figures (Azure Functions 2021), read off the published plot.
PER_SECOND = (
    *(11, 0, 9, 11, 14, 10, 10, 4, 24, 68, 44, 14, 28, 28, 50, 14, 14, 10, 18, 10, 18, 16, 82, 40, 16, 18, 24, 8, 12),
    *(12, 24, 20, 16, 4, 30, 4, 6, 8, 6, 8, 8, 18, 2, 4, 5),
)  # fmt: skip


def arrivals(count: int, *, speed: float) -> list[float]:
    """Return when the first `count` calls of the trace come, in seconds, so many times as fast.

    Where in their second they come was not published: here in pairs, evenly.
    """
    times = [
        (second + (n // 2) * 2 / number) / speed for second, number in enumerate(PER_SECOND) for n in range(number)
    ]
    return times[:count]


@dataclass(frozen=True)
class Measured:
    """What came of a replay.

    Attributes:
        latencies_s: from when a call came until its caller had the value, in seconds.
        values: what the calls returned.
        lost: calls without a value.
        memory_bytes: what all Sandboxes, zygotes included, held at the end beyond what there was before; of shared
            pages, their share (PSS).
    """

    latencies_s: list[float]
    values: list[Any]
    lost: int
    memory_bytes: int

    def latency_ms(self) -> tuple[float, float, float]:
        """Return mean, median and 99th percentile, in milliseconds."""
        ordered = sorted(self.latencies_s)
        p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
        return statistics.fmean(ordered) * 1e3, statistics.median(ordered) * 1e3, p99 * 1e3


def replay(
    function: weftrun.Function[..., Any], calls: Sequence[tuple[Any, ...]], times: Sequence[float], *, sandboxes: int,
    folder: Path,
) -> Measured:  # fmt: skip
    """Start each call at its time, each as a Run of its own that keeps no record, on a new engine.

    The code is imported before, as the paper's images have it; there is no Sandbox that could take a call.
    """
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        weftrun.open(f"sqlite:///{place}/journal.db", sandboxes=sandboxes) as engine,
    ):
        with contextlib.suppress(weftrun.WeftrunError):  # another kind of Sandbox, on a host that has it
            engine.run(functions.fibonacci.options(durable=False, network=False), 1)
        _wait_for_quiet()
        before = _memory_of_children()
        fast = function.options(durable=False)
        ready = threading.Barrier(len(calls) + 1)
        began = [0.0]

        def call(args: tuple[Any, ...], at: float) -> tuple[float, Any]:
            ready.wait()
            time.sleep(max(0.0, began[0] + at - time.perf_counter()))
            value = engine.run(fast, *args)
            return time.perf_counter() - began[0] - at, value

        with ThreadPoolExecutor(len(calls)) as callers:
            asked = [callers.submit(call, args, at) for args, at in zip(calls, times, strict=True)]
            began[0] = time.perf_counter() + 0.1
            ready.wait()
            done = [one.result() for one in asked if one.exception() is None]
        memory = _memory_of_children() - before
    return Measured([latency for latency, _ in done], [value for _, value in done], len(calls) - len(done), memory)


def _wait_for_quiet(*, quiet_s: float = 0.5, wait_max_s: float = 10.0) -> None:
    """Wait until no process below this one has come or gone for a while: spare Sandboxes start beside the first Run."""
    seen, since, end = _descendants(os.getpid()), time.monotonic(), time.monotonic() + wait_max_s
    while time.monotonic() < min(since + quiet_s, end):
        time.sleep(0.02)
        if (now := _descendants(os.getpid())) != seen:
            seen, since = now, time.monotonic()


def _memory_of_children() -> int:
    return sum(map(_pss, _descendants(os.getpid())))


def _descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            found += [int(child), *_descendants(int(child))]
    return found


def _pss(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended meanwhile
        return ""
