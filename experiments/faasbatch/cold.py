"""What each level of the ladder of Sandboxes costs: the first Sandbox of some code, the next one, and a warm call."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import weftrun
from experiments.table import Table
from weftrun import Function, function
from weftrun.adapters.process import why_not_walled

LEVELS: dict[str, dict[str, Any]] = {
    "process": {},
    "process, strict": {"protect": "strict"},
    "bwrap": {"runtime": "bwrap"},
    "oci": {"runtime": "oci"},
}
_HELD_S = 0.6
_APART_S = 0.05
_WARM_CALLS = 50


@function(effects="none")
def hold(seconds: float) -> float:
    """Keep a Sandbox for so long, so that the next call needs another one."""
    time.sleep(seconds)
    return seconds


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Make Sandboxes at each level, one at a time, in an engine of its own, round by round."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/cold")
    parser.add_argument("--rounds", type=int, default=2 if quick else 7, metavar="N", help="rounds of each level")
    parser.add_argument("--sandboxes", type=int, default=5, metavar="N", help="Sandboxes that are made in a round")
    chosen = parser.parse_args(arguments)
    found: dict[str, list[tuple[float, float, float]]] = {}
    levels = {name: said for name, said in LEVELS.items() if not why_not_walled_here(name)}
    for _ in range(chosen.rounds):
        for name, said in levels.items():
            with tempfile.TemporaryDirectory(dir=out) as folder:
                found.setdefault(name, []).append(_measured(hold.options(**said), folder, chosen.sandboxes))
    medians = {name: tuple(map(statistics.median, zip(*rounds, strict=True))) for name, rounds in found.items()}
    floor = medians["process"]
    rows: list[Sequence[object]] = [
        (name, first, further, further / floor[1], warm, warm / floor[2])
        for name, (first, further, warm) in medians.items()
    ]
    columns = ("level", "first ms", "next ms", "x process", "warm call ms", "x process")
    title = f"Sandboxes by level, medians of {chosen.rounds} rounds of {chosen.sandboxes}"
    notes = (
        "First: the interpreter, its walls, the import of the module, and a Sandbox of it. Next: one more while the "
        "others are busy, as an engine makes it: a fork that is kept ahead; a strict one then imports the module. "
        "Warm: a whole Run."
    )
    left_out = [name for name in LEVELS if name not in levels]
    return [Table("cold", title, columns, rows, notes + (f" Not here: {', '.join(left_out)}." if left_out else ""))]


def why_not_walled_here(name: str) -> str:
    """Return why this host can't make these walls, or nothing."""
    return why_not_walled(name) if name in ("bwrap", "oci") else ""


def _measured(made: Function[..., float], folder: str, sandboxes: int) -> tuple[float, float, float]:
    """Return how long the first Sandbox took, the next ones on average, and a warm call, in milliseconds."""
    with weftrun.open(f"sqlite:///{folder}/j.db", sandboxes=sandboxes) as engine:
        core: Any = engine._core
        engine.run(made, 0.0)
        first_s = core.batches.cold_start_s
        runs = []
        for _ in range(sandboxes):
            runs.append(engine.start(made, _HELD_S))
            time.sleep(_APART_S)
        for each in runs:
            each.result(60)
        counts = core.batches
        further_s = (counts.cold_start_s - first_s) / (counts.cold_starts - 1)
        began = time.perf_counter()
        for _ in range(_WARM_CALLS):
            engine.run(made, 0.0)
        return 1e3 * first_s, 1e3 * further_s, 1e3 * (time.perf_counter() - began) / _WARM_CALLS
