"""Steps with large values that come again: what it costs to write them, and not to."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from bench.figure import Figure, Setting, engine, timed

import weftrun
from weftrun import function, workflow
from weftrun.model.policy import Checkpoint

_WIDTH = 8


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
def dag(checkpoint: Checkpoint, depth: int, nbytes: int, deterministic: bool = True) -> int:
    ends = []
    for chain in range(_WIDTH):
        # No two values are equal: of equal ones one file is written.
        seed = chain * (depth + 1)
        array = grow.options(checkpoint=checkpoint, deterministic=deterministic)(seed, nbytes)
        for _ in range(depth):
            array = turn.options(checkpoint=checkpoint, deterministic=deterministic)(array)
        ends.append(array)
    joined = join.options(checkpoint=checkpoint, deterministic=deterministic)(ends)
    return total.options(checkpoint=checkpoint)(joined)


def _once(
    opened: weftrun.Engine,
    checkpoint: Checkpoint,
    setting: Setting,
    deterministic: bool = True,
) -> float:
    """Run the graph once; return what a Step of it took, in milliseconds."""
    depth, nbytes = setting.sizes.dag_depth, setting.sizes.dag_bytes
    took = timed(lambda: opened.run(dag, checkpoint, depth, nbytes, deterministic))
    return took / (_WIDTH * (depth + 1) + 2) * 1e3


def _written(folder: Path) -> float:
    """Return how many megabytes a Journal takes, with all that lies beside it."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def checkpoints(setting: Setting) -> list[Figure]:
    """Run a graph of deterministic Steps with large values under each policy."""
    depth, nbytes = setting.sizes.dag_depth, setting.sizes.dag_bytes
    size = f"{nbytes / 1e6:g} MB"
    steps = _WIDTH * (depth + 1) + 2
    inside = (
        f"one Run of {steps} deterministic Steps, {_WIDTH} chains that are joined, each with a value of {size}, from "
        "engine.run to its value, divided by the Steps. Floor: the same with checkpoint=none, in the same round."
    )
    bytes_are = (
        f"the Journal and all files beside it, after one such Run. Floor: the bytes of all {steps - 1} large values."
    )
    auto = Figure(f"{size} a Step, auto", "ms/Step", "none", inside, must=1.1)
    behind = Figure(f"{size} a Step, async", "ms/Step", "none", inside)
    written = Figure(f"{size} a Step, written by auto", "MB", "all of them", bytes_are, must=0.1, per="Run")
    anew_is = inside.replace("deterministic Steps", "Steps that are not said to be deterministic")
    anew = Figure(f"{size} a Step, not deterministic, auto", "ms/Step", "none", anew_is)
    anew_written = Figure(
        f"{size} a Step, not deterministic, written by auto", "MB", "all of them", bytes_are, per="Run"
    )
    nbytes_all = (steps - 1) * nbytes / 1e6
    for _ in range(setting.rounds):
        values: dict[Checkpoint, float] = {}
        policies: tuple[Checkpoint, ...] = ("none", "auto", "async")
        for checkpoint in policies:
            with _fresh(setting) as (opened, folder):
                values[checkpoint] = _once(opened, checkpoint, setting)
                if checkpoint == "auto":
                    written.add(_written(folder), nbytes_all)
        auto.add(values["auto"], values["none"])
        behind.add(values["async"], values["none"])
        with _fresh(setting) as (opened, _):
            unwritten = _once(opened, "none", setting, deterministic=False)
        with _fresh(setting) as (opened, folder):
            anew.add(_once(opened, "auto", setting, deterministic=False), unwritten)
            anew_written.add(_written(folder), nbytes_all)
    return [auto, behind, written, anew, anew_written]


@contextmanager
def _fresh(setting: Setting) -> Iterator[tuple[weftrun.Engine, Path]]:
    """Open an engine in a folder of its own, with numpy imported and the pages there."""
    with tempfile.TemporaryDirectory(dir=setting.folder) as name:
        folder = Path(name)
        with engine(msgspec.structs.replace(setting, folder=folder)) as opened:
            opened.run(dag, "none", 1, 800_000)
            yield opened, folder
