"""Outputs that are put before their Steps have ended: random worlds, a seed each, with and without other Workers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.sim.test_swarm import FIRST, PART, SWEPT

from weftrun.testing.sim.swarm import play_seed

SEEDS = int(os.environ.get("WEFTRUN_SEEDS", "10"))


def play(seeds: range, folder: Path) -> None:
    for seed in seeds:
        _, broken = play_seed(seed, folder, workers=seed % 2 == 1, outputs=True)
        assert broken is None, f"WEFTRUN_FIRST_SEED={seed} WEFTRUN_SEEDS=1\n{broken}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PART))
def test_seeds(first: int, folder: Path) -> None:
    play(range(first, min(first + PART, FIRST + SEEDS)), folder)


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, SWEPT // 2, PART))
def test_more_seeds(first: int, folder: Path) -> None:
    play(range(first, first + PART), folder)
