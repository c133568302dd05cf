"""Deep and wide Runs under the death of their engine at every write, all in one history (P5)."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sim import expansions as x

from weftrun.sdk.function import Function
from weftrun.testing.oracles import findings
from weftrun.testing.sim.world import Settings, World

DEEP, WIDE = 100, 1_000


@pytest.mark.parametrize(
    ("flow", "size", "every", "deaths", "depth"),
    [
        pytest.param(x.deep, DEEP, 1, 300, DEEP, id="deep", marks=pytest.mark.sweep),
        # each death replays up to a hundred bodies
        pytest.param(x.deep_watched, DEEP, 24, 7, DEEP, id="watched", marks=pytest.mark.sweep),
        pytest.param(x.deep_watched, DEEP, 6, 30, DEEP, id="watched closely", marks=pytest.mark.sweep),
        pytest.param(x.wide_map, WIDE, 1, 150, 0, id="map", marks=pytest.mark.sweep),
        pytest.param(x.wide, WIDE, 9, 6, 0, id="wide"),
        pytest.param(x.wide, WIDE, 3, 20, 0, id="wide closely", marks=pytest.mark.sweep),
    ],
)
def test_an_engine_that_dies_at_every_write(
    flow: Function[..., x.Value], size: int, every: int, deaths: int, depth: int, folder: Path
) -> None:
    """The Run ends as one without a fault does, and nothing is entered again once it is recorded."""
    world = World(1, folder, (), faults=x.EveryWrite(every), settings=Settings(reopenings_max=1_000))
    client = world.start("one", flow, size)
    try:
        world.run()
        assert findings(world) == [], world.story()[:20_000]
    finally:
        world.close()
    assert [status for status, _, _ in client.answers] == ["succeeded"] * 2
    assert len(world.faults.happened) == world.faults.points.count("journal.append") // every > deaths
    steps = {entry.step for entry in world.ledger.entries}
    assert max(str(step).count("/") for step in steps) == depth
    assert len(steps) > size
