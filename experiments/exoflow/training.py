"""The pipeline of Figure 6 in numpy: images are staged, filtered, prepared, then augmented and learnt from by epochs.

Each entry of a body is noted in a ledger, a file, and a body whose trigger is there ends its process, once.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from weftrun import function, workflow

SIDE, FEATURES, HIDDEN = 64, 1_024, 256
IMAGES = 96
"""Of one part; a data set has four parts for each time that it is multiplied."""
PARTS = 4
SAVED_EVERY = 5
"""The state of the trainer is kept after so many epochs, whatever else is: as in the original."""
Images = NDArray[np.uint8]
Floats = NDArray[np.float32]


def enters(place: str, name: str) -> None:
    """Note an entry of a body; end its Sandbox where that is asked for, or wait for the end of the whole program."""
    with (Path(place) / "ledger").open("a", encoding="utf-8") as ledger:
        ledger.write(f"{name}\n")
    for kind in ("task", "cluster"):
        trigger = Path(place) / f"{name}.{kind}"
        if trigger.exists():
            trigger.rename(f"{trigger}.done")
            if kind == "task":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60.0)


@function(effects="none")
def stage(place: str, multiplier: int) -> list[Images]:
    """Bring the images here, copied as often as is asked for."""
    enters(place, "stage")
    drawn = np.random.default_rng(7)
    return [drawn.integers(0, 256, (IMAGES, SIDE, SIDE, 3), dtype=np.uint8) for _ in range(PARTS * multiplier)]


@function(effects="none")
def keep(place: str, number: int, part: Images) -> Images:
    """Leave out images that are too dark."""
    enters(place, f"keep-{number}")
    kept: Images = part[part.mean(axis=(1, 2, 3)) > 1.0]
    return kept


@function(effects="none")
def prepare(place: str, number: int, part: Images) -> Floats:
    """Make features of images."""
    enters(place, f"prepare-{number}")
    grey = part.astype(np.float32).mean(axis=3) / 255.0
    return np.ascontiguousarray(grey.reshape(len(grey), -1)[:, :: SIDE * SIDE // FEATURES])


@function(effects="none")
def augment(place: str, epoch: int, number: int, part: Floats) -> Floats:
    """Shift and disturb one part, otherwise in each epoch."""
    enters(place, f"augment-{epoch}-{number}")
    drawn = np.random.default_rng(1_000 * epoch + number)
    return np.roll(part, epoch, axis=1) + drawn.normal(0.0, 0.01, part.shape).astype(np.float32)


@function(effects="none")
def train(place: str, epoch: int, state: Floats | None, parts: list[Floats]) -> Floats:
    """Learn for one epoch; the state is all that the trainer knows."""
    enters(place, f"train-{epoch}")
    weights = state.copy() if state is not None else np.zeros((FEATURES, HIDDEN), dtype=np.float32)
    target = np.random.default_rng(3).normal(0.0, 1.0, (FEATURES, HIDDEN)).astype(np.float32)
    for part in parts:
        for _ in range(4):
            weights -= (1e-3 / len(part)) * (part.T @ (part @ (weights - target)))
    return weights


@workflow
def pipeline(place: str, multiplier: int, epochs: int, checkpoint: Any) -> Floats | None:
    """The whole graph; everything is recorded in one way, but for the trainer's state where nothing else is."""
    numbers = range(PARTS * multiplier)
    staged = stage.options(checkpoint=checkpoint)(place, multiplier)
    kept = [keep.options(checkpoint=checkpoint)(place, number, staged[number]) for number in numbers]
    parts = [prepare.options(checkpoint=checkpoint)(place, number, kept[number]) for number in numbers]
    state: Floats | None = None
    for epoch in range(epochs):
        fresh = [augment.options(checkpoint=checkpoint)(place, epoch, number, parts[number]) for number in numbers]
        saved: Any = "sync" if checkpoint == "none" and epoch % SAVED_EVERY == 0 else checkpoint
        state = train.options(checkpoint=saved)(place, epoch, state, fresh)
    return state
