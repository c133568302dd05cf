"""Runs of very many Steps: a loop that goes on with each value, children side by side, continuations in one another.

The Steps of a Run are held in memory until it has ended, so its engine grows with them; how much is measured here.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import weftrun
from experiments.table import Table
from experiments.weftrun.functions import same
from weftrun import function, workflow


@function(effects="none", deterministic=True)
def one_less(n: int) -> int:
    """Return what is left."""
    return n - 1


@workflow
async def loop(n: int) -> int:
    """Go on with the value of the last Step, so many times."""
    while n:
        n = await one_less.step(n)
    return n


@workflow
async def child(n: int) -> int:
    """Call one Step."""
    return await same.step(n)


@workflow
def side_by_side(n: int) -> list[int]:
    """Call so many workflows at once."""
    return [child.step(number).out for number in range(n)]


@workflow
async def continued(n: int) -> int:
    """Call one Step and hand the rest on to another workflow, as ExoFlow's continuations do."""
    return continued.step(await one_less.step(n)).out if n else 0


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure each Run in an engine of its own, on a Journal in the folder `out`, which is removed."""
    parser = argparse.ArgumentParser(prog="python -m experiments weftrun/long_runs")
    parser.add_argument("--most", type=int, default=1_000 if quick else 100_000, metavar="N", help="Steps of a loop")
    chosen = parser.parse_args(arguments)
    lengths = [n for n in (100, 1_000, 10_000, 100_000) if n <= chosen.most]
    rows: list[Sequence[object]] = [_row("continued", continued, n, out) for n in (50, 100, 199)]
    for n in lengths:
        rows.append(_row("loop", loop, n, out))
        rows.append(_row("side by side", side_by_side, n, out))
    columns = ("shape", "calls", "s", "calls/s", "engine grew by MB", "KB a call")
    notes = "Continuations go 200 deep and no deeper (`depth_max`): a loop is what goes on for longer."
    return [Table("long_runs", "One Run at a time, SQLite; memory of the engine's process", columns, rows, notes)]


def _row(shape: str, workflow: Any, calls: int, out: Path) -> Sequence[object]:
    """Run a workflow once in a warm engine, and say what that took."""
    with TemporaryDirectory(dir=out) as folder, weftrun.open(f"sqlite:///{folder}/journal.db") as engine:
        engine.run(workflow, 2)
        gc.collect()
        before, begun = _resident_mb(), time.perf_counter()
        engine.run(workflow, calls)
        took, grew = time.perf_counter() - begun, max(0.0, _resident_mb() - before)
    return shape, calls, took, calls / took, grew, 1_000 * grew / calls


def _resident_mb() -> float:
    """Return the memory of this process, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmRSS:")[2].split()[0]) / 1_000
