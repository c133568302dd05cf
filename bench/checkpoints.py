"""Steps with large values that come again: what it costs to write them, and not to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np
from bench.figure import Figure, Setting, engine, timed

import weftrun
from weftrun import function, workflow
from weftrun.model.policy import Checkpoint

_WIDTH = 8

_RUNS = 9
"""Runs of each policy in a round: one takes less than 0.2 s, and whatever else wakes up then shows in it."""

_RUNS_WRITTEN = 3
"""The same where each writes all its values."""


@function(effects="none", deterministic=True)
def grow(seed: int, nbytes: int) -> Any:
    return np.full(nbytes // 8, seed, np.int64)


@function(effects="none", deterministic=True)
def turn(array: Any) -> Any:
    return array + 1


@function(effects="none", deterministic=True)
def join(arrays: list[Any]) -> Any:
    return sum(arrays[1:], arrays[0])


@function(effects="none", deterministic=True)
def total(array: Any) -> int:
    return int(array.sum())


@workflow
def dag(checkpoint: Checkpoint, depth: int, nbytes: int, first: int, deterministic: bool = True) -> int:
    ends = []
    for chain in range(_WIDTH):
        # No two values are equal, those of other Runs neither: of equal ones one file is written.
        seed = first + chain * (depth + 1)
        array = grow.options(checkpoint=checkpoint, deterministic=deterministic)(seed, nbytes)
        for _ in range(depth):
            array = turn.options(checkpoint=checkpoint, deterministic=deterministic)(array)
        ends.append(array)
    joined = join.options(checkpoint=checkpoint, deterministic=deterministic)(ends)
    return total.options(checkpoint=checkpoint)(joined)


def _steps(setting: Setting) -> int:
    return _WIDTH * (setting.sizes.dag_depth + 1) + 2


def _pair(setting: Setting, checkpoint: Checkpoint, *, runs: int, deterministic: bool = True) -> tuple[float, float]:
    """Run the graph in turn with this policy and with none; return what a Step took with either, in milliseconds."""
    depth, nbytes = setting.sizes.dag_depth, setting.sizes.dag_bytes
    steps = _steps(setting)
    took: dict[Checkpoint, list[float]] = {"none": [], checkpoint: []}
    with _fresh(setting) as (opened, _):
        for number in range(2 * runs):
            policy = ("none", checkpoint)[number % 2]
            run = partial(opened.run, dag, policy, depth, nbytes, number * steps, deterministic)
            took[policy].append(timed(run) / steps * 1e3)
    return median(took[checkpoint]), median(took["none"])


def _written_by_one(setting: Setting, *, deterministic: bool) -> float:
    """Return how many megabytes one Run leaves with `auto`."""
    depth, nbytes = setting.sizes.dag_depth, setting.sizes.dag_bytes
    with _fresh(setting) as (opened, folder):
        opened.run(dag, "auto", depth, nbytes, 0, deterministic)
        return _written(folder)


def _written(folder: Path) -> float:
    """Return how many megabytes a Journal takes, with all that lies beside it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def checkpoints(setting: Setting) -> list[Figure]:
    """Run a graph of deterministic Steps with large values under each policy."""
    size = f"{setting.sizes.dag_bytes / 1e6:g} MB"
    steps = _steps(setting)
    inside = (
        f"Runs of {steps} deterministic Steps, {_WIDTH} chains that are joined, each with a value of {size}, from "
        f"engine.run to its value, divided by the Steps. Floor: checkpoint=none, in turn with it in the same engine; "
        f"the median of {_RUNS} Runs of each where auto writes next to nothing, of {_RUNS_WRITTEN} for the others."
    )
    bytes_are = (
        f"the Journal and all files beside it, after one such Run. Floor: the bytes of all {steps - 1} large values."
    )
    auto = Figure(f"{size} a Step, auto", "ms/Step", "none", inside, must=1.1)
    behind = Figure(f"{size} a Step, async", "ms/Step", "none", inside)
    written = Figure(f"{size} a Step, written by auto", "MB", "all of them", bytes_are, must=0.1, per="Run")
    anew_is = inside.replace("deterministic Steps, ", "Steps that are not said to be deterministic, ", 1)
    anew = Figure(f"{size} a Step, not deterministic, auto", "ms/Step", "none", anew_is)
    anew_written = Figure(
        f"{size} a Step, not deterministic, written by auto", "MB", "all of them", bytes_are, per="Run"
    )
    nbytes_all = (steps - 1) * setting.sizes.dag_bytes / 1e6
    for _ in range(setting.rounds):
        auto.add(*_pair(setting, "auto", runs=_RUNS))
        behind.add(*_pair(setting, "async", runs=_RUNS_WRITTEN))
        written.add(_written_by_one(setting, deterministic=True), nbytes_all)
        anew.add(*_pair(setting, "auto", runs=_RUNS_WRITTEN, deterministic=False))
        anew_written.add(_written_by_one(setting, deterministic=False), nbytes_all)
    return [auto, behind, written, anew, anew_written]


@contextmanager
def _fresh(setting: Setting) -> Iterator[tuple[weftrun.Engine, Path]]:
    """Open an engine in a folder of its own, with numpy imported and the pages there."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        with engine(msgspec.structs.replace(setting, folder=folder)) as opened:
            opened.run(dag, "none", 1, 800_000, -_WIDTH * 2)
            yield opened, folder
