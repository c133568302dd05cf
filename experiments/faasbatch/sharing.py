"""Many computing calls at once in one Sandbox, by forks or by threads, against a Sandbox each, and ours."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from experiments.faasbatch import functions
from experiments.faasbatch.measuring import FIGURES, replay
from experiments.table import Table
from weftrun import Strategy

_AT_ONCE = (10, 20, 40, 80, 160, 320, 640)
_QUICK = (10, 40)
_BATCH_MAX = 256
_WAYS: dict[str, tuple[Strategy, int | None]] = {
    "one Sandbox, forks": (Strategy(name="faasbatch", window_s=0.01, how="processes"), 1),
    "one Sandbox, threads": (Strategy(name="faasbatch", window_s=0.01, how="threads"), 1),
    "a Sandbox each": (Strategy(name="vanilla"), 640),
    "ours": (Strategy(), None),
}


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Start 10 to 640 calls of the same number at once."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/sharing")
    parser.add_argument("--n", type=int, default=22, metavar="N", help="the number (22; the paper's is 34)")
    parser.add_argument("--most", type=int, default=_QUICK[-1] if quick else 640, metavar="N", help="calls at once")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    for count in (each for each in (_QUICK if quick else _AT_ONCE) if each <= chosen.most):
        for name, (strategy, sandboxes) in _WAYS.items():
            times, calls = [0.0] * count, [(chosen.n,)] * count
            measured = replay(functions.fibonacci, calls, times, strategy=strategy, sandboxes=sandboxes, folder=out)
            rows.append((count, name, *measured.figures()))
    title = f"fib({chosen.n}), so many calls at once"
    notes = (
        f"A Batch has at most {_BATCH_MAX} calls, so that more go to one Sandbox in several; the paper has no such cap."
    )
    return [Table("sharing", title, ("calls", "way", *FIGURES), rows, notes)]
