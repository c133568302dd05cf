"""Calls that compute Fibonacci numbers, drawn and replayed as the paper does: all strategies side by side."""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

from experiments.faasbatch import functions
from experiments.faasbatch.measuring import FIGURES, Measured, arrivals, replay
from experiments.faasbatch.strategies import WINDOW_S, sandboxes_max, strategies
from experiments.table import Table
from weftrun import Strategy

# Share of the calls and range of N, as published.
_DISTRIBUTION = (
    (0.6656, 20, 26),
    (0.0319, 27, 28),
    (0.0366, 29, 29),
    (0.0730, 30, 31),
    (0.1045, 32, 33),
    (0.0885, 34, 35),
)
SMALLER = 9
"""What is taken off each number if not said: two processors compute for seconds what the paper's 32 do in as long."""


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay the trace with smaller numbers; `calls-*.csv` has each call."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/cpu")
    parser.add_argument("--smaller", type=int, default=SMALLER, metavar="N", help=f"taken off each number ({SMALLER})")
    parser.add_argument("--calls", type=int, default=100 if quick else 400, metavar="N", help="of the trace")
    parser.add_argument("--seed", type=int, default=5432, help="of the numbers that are drawn")
    parser.add_argument("--rounds", type=int, default=1 if quick else 3, metavar="N", help="rounds of each setting")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    for number in range(1, chosen.rounds + 1):
        for name, strategy in strategies("cpu", window_s=WINDOW_S, slo_s=1.0).items():
            measured = fibonaccis(name, strategy, out, count=chosen.calls, smaller=chosen.smaller, seed=chosen.seed)
            measured.write(out / f"calls-{name.replace(', ', '-')}-{number}.csv")
            rows.append((name, number, *measured.figures()))
    title = f"trace, 4 times as fast: {chosen.calls} calls of fib(N - {chosen.smaller}), N as published"
    notes = (
        "Latency is what the caller sees, cold starts included. Kraken has an SLO of 1 s and is told what comes. A "
        "fork of FaaSBatch counts as no Sandbox."
    )
    return [Table("cpu", title, ("strategy", "round", *FIGURES), rows, notes)]


def fibonaccis(
    name: str, strategy: Strategy, out: Path, *, count: int, smaller: int = SMALLER, seed: int = 5432
) -> Measured:
    """Replay the first `count` calls of the trace, four times as fast."""
    calls = [(n - smaller,) for n in _numbers(count, seed)]
    times = arrivals(count, speed=4.0)
    return replay(functions.fibonacci, calls, times, strategy=strategy, sandboxes=sandboxes_max(name), folder=out)


def _numbers(count: int, seed: int) -> list[int]:
    draw = random.Random(seed)
    numbers = []
    for share, low, high in _DISTRIBUTION:
        numbers += [draw.randint(low, high) for _ in range(round(share * count))]
    numbers = (numbers + [20] * count)[:count]
    draw.shuffle(numbers)
    return numbers
