"""Engines with Worker processes that die, freeze, are cut off and are started again: random worlds, a seed each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.sim.test_swarm import FIRST, PART

from weftrun.testing.sim.swarm import draw_world, play_seed

SEEDS = int(os.environ.get("WEFTRUN_SEEDS", "10"))


def play(seeds: range, folder: Path) -> None:
    for seed in seeds:
        _, broken = play_seed(seed, folder, workers=True)
        assert broken is None, f"WEFTRUN_FIRST_SEED={seed} WEFTRUN_SEEDS=1\n{broken}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PART))
def test_seeds(first: int, folder: Path) -> None:
    play(range(first, min(first + PART, FIRST + SEEDS)), folder)


def test_the_worlds_differ(folder: Path) -> None:
    """In how many Workers there are, who starts the next Step, and what becomes of them."""
    drawn = [draw_world(seed, folder, workers=True).settings.workers for seed in range(40)]
    assert {workers.count for workers in drawn} == {1, 2, 3}
    assert {workers.arms for workers in drawn} == {True, False}
    assert {workers.placement for workers in drawn} == {"planned", "hash", "faasflow"}
    for fate in ("dies", "freezes", "cuts"):
        assert {getattr(workers, fate) > 0 for workers in drawn} == {True, False}
