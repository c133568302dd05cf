"""Calls that compute Fibonacci numbers, drawn as the paper draws them: one Sandbox a call, a fixed tick, ours."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from experiments.faasbatch import functions
from experiments.faasbatch.measuring import arrivals, replay
from experiments.table import Table

# Share of the calls and range of N, as published.
_DISTRIBUTION = (
    (0.6656, 20, 26),
    (0.0319, 27, 28),
    (0.0366, 29, 29),
    (0.0730, 30, 31),
    (0.1045, 32, 33),
    (0.0885, 34, 35),
)
_POLICIES: dict[str, tuple[dict[str, object], int]] = {
    "one Sandbox a call": ({}, 64),
    "fixed tick, 0.2 s, threads": ({"concurrency": 64, "window": 0.2}, 64),
    "fixed tick, 0.2 s, forks": ({"concurrency": ("processes", 64), "window": 0.2}, 64),
    "ours: adaptive, forks": ({"concurrency": ("processes", 2)}, 1),
    "ours: one Sandbox a processor": ({}, 2),
}


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay the trace with smaller numbers."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/cpu")
    parser.add_argument("--smaller", type=int, default=9, metavar="N", help="what is taken off each number (9)")
    parser.add_argument("--seed", type=int, default=5432, help="of the numbers that are drawn")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, metavar="N", help="rounds of each setting")
    chosen = parser.parse_args(arguments)
    count = 100 if quick else 400
    times = arrivals(count, speed=4.0)
    calls = [(n - chosen.smaller,) for n in _numbers(count, chosen.seed)]
    rows: list[Sequence[object]] = []
    for number in range(1, chosen.rounds + 1):
        for strategy, (policy, sandboxes) in _POLICIES.items():
            made = functions.fibonacci.options(**policy) if policy else functions.fibonacci  # type: ignore[arg-type]
            measured = replay(made, calls, times, sandboxes=sandboxes, folder=out)
            mib = round(measured.memory_bytes / 2**20)
            used = len({process for process, _ in measured.values})
            rows.append((strategy, number, *map(round, measured.latency_ms()), used, mib, measured.lost))
    columns = ("strategy", "round", "mean ms", "p50 ms", "p99 ms", "Sandboxes", "PSS MiB", "lost")
    title = f"trace, 4 times as fast: {count} calls of fib(N - {chosen.smaller}), N as published"
    notes = (
        "Latency is what the caller sees, cold starts included. Threads share the interpreter's lock; forks expand a "
        "Batch over all processors, as the paper's do. A fork counts as no Sandbox."
    )
    return [Table("cpu", title, columns, rows, notes)]


def _numbers(count: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    numbers = []
    for share, low, high in _DISTRIBUTION:
        numbers += [draw.randint(low, high) for _ in range(round(share * count))]
    numbers = (numbers + [20] * count)[:count]
    draw.shuffle(numbers)
    return numbers
