"""Figure 8c: how many Steps that do nothing run in a second, one a Run and 100 a Run, kept and not kept."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import weftrun
from experiments.exoflow.functions import many, nothing
from experiments.table import Table

_AT_ONCE = 1_000
_WIDTH = 100


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure with 1, 2 and 4 Sandboxes; each setting has an engine and a Journal of its own."""
    parser = argparse.ArgumentParser(prog="python -m experiments exoflow/rate")
    parser.add_argument("--steps", type=int, default=1_000 if quick else 10_000, metavar="N", help="in each setting")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    for sandboxes in (1, 2, 4):
        for durable in (False, True):
            with (
                TemporaryDirectory(dir=out) as folder,
                weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=sandboxes) as engine,
            ):
                single = _rate(engine, nothing.options(durable=durable), [0] * chosen.steps, 1)
                wide = _rate(engine, many.options(durable=durable), [_WIDTH] * (chosen.steps // _WIDTH), _WIDTH)
            rows.append((sandboxes, "yes" if durable else "no", single, wide))
    columns = ("sandboxes", "durable", "one a Run, Steps/s", f"{_WIDTH} a Run, Steps/s")
    notes = (
        "The original measures with checkpoints off and inputs not kept: the lines `durable: no`. Those with `yes` "
        "have a start and an end on the disk for each Run."
    )
    return [Table("rate", f"{chosen.steps:,} Steps a cell, up to {_AT_ONCE:,} Runs at once", columns, rows, notes)]


def _rate(engine: weftrun.Engine, function: weftrun.Function[..., object], arguments: list[int], steps: int) -> float:
    """Return how many Steps a second such Runs have, each of them with so many."""

    async def all_of_them() -> None:
        for first in range(0, len(arguments), _AT_ONCE):
            part = arguments[first : first + _AT_ONCE]
            runs = await asyncio.gather(*(engine.astart(function, argument) for argument in part))
            for started in runs:
                await started

    engine.run(function, arguments[0])
    begun = time.perf_counter()
    asyncio.run(all_of_them())
    return len(arguments) * steps / (time.perf_counter() - begun)
