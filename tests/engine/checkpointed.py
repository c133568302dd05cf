"""Workflows whose Functions say when they are recorded. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import os
from typing import Any, Literal

import numpy as np
from tests.engine.programs import note

from weftrun import function, workflow

SIZE = 20_000  # of float64: over the bound of what travels inline


@function(effects="none")
def draw(seed: int, ledger: str) -> bytes:
    """Another value at each entry."""
    note(ledger)
    return os.urandom(8)


@function(effects="none", deterministic=True)
def grow(seed: Any, ledger: str) -> np.ndarray:
    """A large value that comes again."""
    note(ledger)
    first = seed if isinstance(seed, int) else float(np.asarray(seed).ravel()[0])
    return np.full(SIZE, first) + 1.0


@function(effects="none", deterministic=True)
def join(*arrays: np.ndarray, ledger: str) -> np.ndarray:
    """Two large values to one."""
    note(ledger)
    return sum(arrays, np.zeros(SIZE))


@function
def publish(text: str, ledger: str) -> str:
    """Somebody outside sees this."""
    note(ledger)
    with open(ledger + ".seen", "a") as file:
        file.write(text + "\n")
    return text


@function(effects="none", deterministic=True)
def told(array: np.ndarray, drawn: bytes, ledger: str) -> str:
    """What is published."""
    note(ledger)
    return f"{float(array[0])} {drawn.hex()}"


Checkpoint = Literal["auto", "sync", "async", "none"]


@workflow
def dag(checkpoint: Checkpoint, ledger: str) -> float:
    """Large deterministic values only."""
    made, joined = grow.options(checkpoint=checkpoint), join.options(checkpoint=checkpoint)
    first = made(1, ledger)
    left, right = made(first, ledger), made(first, ledger)
    return last.options(checkpoint=checkpoint)(joined(left, right, ledger=ledger), ledger)


@function(effects="none", deterministic=True)
def last(array: np.ndarray, ledger: str) -> float:
    note(ledger)
    return float(array.sum())


@workflow
def mixed(checkpoint: Checkpoint, ledger: str) -> list[Any]:
    """Something visible that rests on everything else."""
    drawn = draw.options(checkpoint=checkpoint)(1, ledger)
    large = grow.options(checkpoint=checkpoint)(1, ledger)
    larger = grow.options(checkpoint=checkpoint)(large, ledger)
    text = told.options(checkpoint=checkpoint)(larger, drawn, ledger)
    return [publish(text, ledger), child(checkpoint, larger, ledger), drawn]


@workflow
async def child(checkpoint: Checkpoint, array: np.ndarray, ledger: str) -> Any:
    """A body that observes one value and hands others on."""
    drawn = await draw.options(checkpoint=checkpoint).step(2, ledger)
    more = draw.options(checkpoint=checkpoint)(3, ledger)
    items = draw.options(checkpoint=checkpoint).map([1, 2, 3], ledger=ledger)
    await publish.step(drawn.hex(), ledger)
    return [told(grow.options(checkpoint=checkpoint)(array, ledger), more, ledger), items]
