"""Calls that come at their times, as their callers see them, and what the Sandboxes that served them took."""

from __future__ import annotations

import csv
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import weftrun
from experiments.faasbatch import functions
from experiments.faasbatch.watching import PARTS, Split, Watch
from weftrun import Strategy

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


class Call(NamedTuple):
    """One call of a replay: what it was called with, how long its caller waited, for what, and what it got."""

    args: tuple[Any, ...]
    latency_s: float
    split: Split
    value: Any


@dataclass(frozen=True)
class Measured:
    """What came of a replay.

    Attributes:
        calls: those that got a value, in the order of their starts.
        lost: how many others there are.
        sandboxes: Sandboxes that were made.
        memory_bytes: what all Sandboxes, zygotes included, held at the end beyond what there was before; of shared
            pages, their share (PSS).
        cpu_s: what they computed in all, zygotes included, in seconds of one processor.
    """

    calls: list[Call]
    lost: int
    sandboxes: int
    memory_bytes: int
    cpu_s: float

    def at(self, quantile: float) -> float:
        """Return the latency that so large a share of all calls does not exceed, in seconds."""
        ordered = sorted(call.latency_s for call in self.calls)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))]

    def figures(self) -> tuple[int, ...]:
        """Return what `FIGURES` name."""
        mean = statistics.fmean(call.latency_s for call in self.calls)
        parts = (statistics.fmean(part) for part in zip(*(call.split for call in self.calls), strict=True))
        times = (round(1e3 * s) for s in (mean, self.at(0.5), self.at(0.98), self.at(0.99), *parts))
        mib = round(self.memory_bytes / 2**20)
        return (*times, self.sandboxes, mib, round(1e3 * self.cpu_s), self.lost)

    def write(self, file: Path) -> None:
        """Write a row for each call, in milliseconds."""
        with file.open("w", newline="", encoding="utf-8") as opened:
            writer = csv.writer(opened)
            writer.writerow(("args", "latency ms", *(f"{part} ms" for part in PARTS)))
            for call in self.calls:
                writer.writerow((call.args, *(round(1e3 * s, 3) for s in (call.latency_s, *call.split))))


FIGURES = (
    *("mean ms", "p50 ms", "p98 ms", "p99 ms", *(f"{part} ms" for part in PARTS)),
    *("Sandboxes", "PSS MiB", "CPU ms", "lost"),
)  # fmt: skip
"""Columns of `Measured.figures`; of the parts of the latency, their means."""


def replay(
    function: weftrun.Function[..., Any], calls: Sequence[tuple[Any, ...]], times: Sequence[float], *,
    strategy: Strategy, sandboxes: int | None, folder: Path,
) -> Measured:  # fmt: skip
    """Start each call at its time, each as a Run of its own that keeps no record, on a new engine.

    The code is imported before, as the paper's images have it; there is no Sandbox that could take a call.
    """
    with (
        tempfile.TemporaryDirectory(dir=folder) as place,
        weftrun.open(f"sqlite:///{place}/journal.db", sandboxes=sandboxes, strategy=strategy) as engine,
    ):
        engine.run(functions.fibonacci.options(durable=False), 1)
        _end_sandboxes(engine)
        _wait_for_quiet()
        before, computed_s = _memory_of_children(), _computed_s()
        watch = Watch(engine, strategy.window_s)
        fast = function.options(durable=False)
        ready = threading.Barrier(len(calls) + 1)
        began = [0.0]

        def call(args: tuple[Any, ...], at: float) -> Call:
            ready.wait()
            came_at = began[0] + at
            time.sleep(max(0.0, came_at - time.time()))
            run = engine.start(fast, *args)
            value = run.result()
            done_at = time.time()
            return Call(args, done_at - came_at, watch.split(run.id, came_at, done_at), value)

        with ThreadPoolExecutor(len(calls)) as callers:
            asked = [callers.submit(call, args, at) for args, at in zip(calls, times, strict=True)]
            began[0] = time.time() + 0.1
            ready.wait()
            done = [one.result() for one in asked if one.exception() is None]
        memory, cpu_s = _memory_of_children() - before, _computed_s() - computed_s
    return Measured(done, len(calls) - len(done), watch.sandboxes, memory, cpu_s)


def _end_sandboxes(engine: weftrun.Engine) -> None:
    """End all Sandboxes of an engine; its code stays imported."""
    core: Any = engine._core
    ended = threading.Event()

    def end() -> None:
        for sandbox in list(core._sandboxes._ends):
            core._sandboxes.kill(sandbox)
        ended.set()

    core._uv_loop.call_from_thread(end)
    ended.wait()


def _computed_s() -> float:
    """Return what all Sandboxes and zygotes that live have computed, with what they have started and that has ended."""
    ticks = 0
    for pid in _descendants(os.getpid()):
        fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
        ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


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
