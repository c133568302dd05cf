"""A queue: how fast it drains beside a plain fan-out of Runs, and what a start costs with many Runs that wait."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles
from tempfile import TemporaryDirectory

import weftrun
from experiments.table import Table
from experiments.weftrun.functions import same

_AT_ONCE = 2_000
"""Starts, and Runs of the plain fan-out, that are under way together."""
_LENGTHS = (10, 100, 1_000, 10_000, 100_000)
_SAMPLES = 300


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure on a Journal of its own in the folder `out`, which is removed."""
    parser = argparse.ArgumentParser(prog="python -m experiments weftrun/queues")
    parser.add_argument("--runs", type=int, default=2_000 if quick else 100_000, metavar="N", help="Runs that wait")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, metavar="N", help="rounds of the drain")
    chosen = parser.parse_args(arguments)
    limited = weftrun.queue("limited", concurrency=100, per_key=20)
    drains: list[Sequence[object]] = []
    for number in range(1, chosen.rounds + 1):
        plain = _plain(out, chosen.runs)
        for name, queue in (("no limit", weftrun.queue("free")), ("100 at once, 20 a key", limited)):
            rate = _drained(out, chosen.runs, queue)
            drains.append((name, number, plain, rate, rate / plain))
    columns = ("queue", "round", "plain Runs/s", "drained Runs/s", "drained / plain")
    title = f"{chosen.runs:,} Runs of a Function that returns at once, 10 keys, SQLite"
    starts = _starts(out, [length for length in _LENGTHS if length <= chosen.runs])
    return [
        Table("drain", title, columns, drains, "Drained: from when an engine is ready until nothing waits or runs."),
        Table("starts", f"{_SAMPLES} starts one after the other", ("waiting", "p50 ms", "p99 ms"), starts),
    ]


def _plain(out: Path, count: int) -> float:
    """Return how many Runs a second are started and end, a bounded number at a time."""

    async def all_of_them(engine: weftrun.Engine) -> None:
        for first in range(0, count, _AT_ONCE):
            numbers = range(first, min(count, first + _AT_ONCE))
            runs = await asyncio.gather(*(engine.astart(same, n) for n in numbers))
            for started in runs:
                await started

    with TemporaryDirectory(dir=out) as folder, weftrun.open(f"sqlite:///{folder}/journal.db") as engine:
        engine.run(same, 0)
        begun = time.perf_counter()
        asyncio.run(all_of_them(engine))
        return count / (time.perf_counter() - begun)


async def _fill(engine: weftrun.Engine, queue: weftrun.Queue, numbers: Sequence[int]) -> None:
    for first in range(0, len(numbers), _AT_ONCE):
        some = numbers[first : first + _AT_ONCE]
        await asyncio.gather(*(engine.astart(same.options(queue=queue, key=f"key-{n % 10}"), n) for n in some))


def _drained(out: Path, count: int, queue: weftrun.Queue) -> float:
    """Return how many Runs a second leave a full queue and end, by one engine."""
    with TemporaryDirectory(dir=out) as folder:
        url = f"sqlite:///{folder}/journal.db"
        with weftrun.open(url, recover="none") as starter:
            starter.queue(queue).pause()
            asyncio.run(_fill(starter, queue, range(count)))
        with weftrun.open(url) as engine:
            engine.run(same, 0)
            known = engine.queue(queue.name)
            begun = time.perf_counter()
            known.resume()
            while known.waiting or known.under_way:
                time.sleep(0.1)
            return count / (time.perf_counter() - begun)


def _starts(out: Path, lengths: Sequence[int]) -> list[Sequence[object]]:
    """Return what a start takes, by how many Runs wait."""
    queue = weftrun.queue("long")
    rows: list[Sequence[object]] = []
    with (
        TemporaryDirectory(dir=out) as folder,
        weftrun.open(f"sqlite:///{folder}/journal.db", recover="none") as engine,
    ):
        engine.queue(queue)
        there = 0
        for length in lengths:
            asyncio.run(_fill(engine, queue, range(there, length)))
            took_ms = [_start_ms(engine, queue, n) for n in range(_SAMPLES)]
            there = length + _SAMPLES
            cuts = quantiles(took_ms, n=100)
            rows.append((length, cuts[49], cuts[98]))
    return rows


def _start_ms(engine: weftrun.Engine, queue: weftrun.Queue, n: int) -> float:
    begun = time.perf_counter()
    engine.start(same.options(queue=queue, key=f"key-{n % 10}"), n)
    return (time.perf_counter() - begun) * 1_000
