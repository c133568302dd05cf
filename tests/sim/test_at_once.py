"""Histories in which Attempts share a Sandbox: nothing is wrong in them, and much happens at once."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sweeping import shared

from weftrun.testing.sim.swarm import draw_world, judged


@pytest.mark.parametrize("first", shared(range(0, 400, 8)))
def test_histories_of_shared_sandboxes_are_right(first: int, folder: Path) -> None:
    entered = 0
    for seed in range(first, first + 8):
        world = draw_world(seed, folder, sharing=True)
        broken = judged(world)
        assert broken is None, broken
        entered += sum(entry.function.label in ("beside", "beside_once") for entry in world.ledger.entries)
    assert entered > 20, "they are hardly entered"
