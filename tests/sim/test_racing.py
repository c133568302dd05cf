"""Bodies that wait for several calls at once in the swarm. What a replay sees first: `tests/machines`."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftrun.testing.sim.plans_model import BodyPlan
from weftrun.testing.sim.racing import SEVERAL
from weftrun.testing.sim.swarm import draw_world, play_seed

SEEDS = 200


def _races(plan: object) -> bool:
    return isinstance(plan, BodyPlan) and any(op.kind == SEVERAL and len(op.takes) > 1 for op in plan.ops)


def _racing_seeds(folder: Path) -> list[int]:
    return [seed for seed in range(SEEDS) if any(_races(c.args[0]) for c in draw_world(seed, folder).clients)]


@pytest.mark.sweep
def test_the_swarm_waits_for_several_at_once(folder: Path) -> None:
    seeds = _racing_seeds(folder)
    assert len(seeds) > 20
    for seed in seeds[:15]:
        _, broken = play_seed(seed, folder)
        assert broken is None, broken
