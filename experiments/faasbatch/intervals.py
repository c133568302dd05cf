"""The dispatch interval from 0.01 to 0.5 s, with all strategies that wait for it, and ours, which does not."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.faasbatch import cpu, io
from experiments.faasbatch.measuring import FIGURES, arrivals
from experiments.faasbatch.strategies import Load, strategies
from experiments.table import Table

_INTERVALS_S = (0.01, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
_QUICK_S = (0.01, 0.2, 0.5)
_WITHOUT_TICK = ("vanilla", "ours")
_LOADS: tuple[Load, ...] = ("cpu", "io")


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Replay the trace with each strategy at each interval."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/intervals")
    parser.add_argument("--load", choices=_LOADS, help="numbers or clients; both, if not said")
    parser.add_argument("--calls", type=int, default=60 if quick else 400, metavar="N", help="of the trace")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="rounds of each point")
    chosen = parser.parse_args(arguments)
    loads = [chosen.load] if chosen.load else list(_LOADS)
    return [_swept(load, quick, out, chosen.calls, chosen.rounds) for load in loads]


def _swept(load: Load, quick: bool, out: Path, count: int, rounds: int) -> Table:
    rows: list[Sequence[object]] = []
    intervals = _QUICK_S if quick else _INTERVALS_S
    for number in range(1, rounds + 1):
        for interval_s in intervals:
            for name, strategy in strategies(load, window_s=interval_s, slo_s=1.0).items():
                if name in _WITHOUT_TICK and interval_s != intervals[0]:
                    continue
                if load == "cpu":
                    measured = cpu.fibonaccis(name, strategy, out, count=count)
                else:
                    measured = io.clients(name, strategy, out, times=arrivals(count, speed=4.0))
                shown = "none" if name in _WITHOUT_TICK else f"{interval_s:g}"
                rows.append((name, shown, number, *measured.figures()))
    title = f"{load}: the first {count} calls of the trace, 4 times as fast, by dispatch interval"
    notes = "In FaaSBatch's own evaluation vanilla and SFS wait for the tick as well, so their latency grows with it."
    return Table(f"intervals-{load}", title, ("strategy", "interval s", "round", *FIGURES), rows, notes)
