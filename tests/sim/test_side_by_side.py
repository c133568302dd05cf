"""Authors' transactions of a server, many at once, in the swarm's worlds."""

from __future__ import annotations

from pathlib import Path

import pytest

from weftrun.testing.sim.side_by_side import SideBySide
from weftrun.testing.sim.swarm import draw_world, judged


@pytest.mark.sweep
def test_several_are_open_at_once_and_some_are_lost(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the swarm would show nothing about them."""
    begun: list[object] = []
    open_at_once: list[int] = []
    losses: list[bool] = []
    open_one, is_lost = SideBySide.open, SideBySide.is_lost

    def spied(self, **bounds):
        begun.append(open_one(self, **bounds))
        open_at_once.append(sum(not made._is_over for made in begun))
        return begun[-1]

    def drawn(self):
        losses.append(is_lost(self))
        return losses[-1]

    monkeypatch.setattr(SideBySide, "open", spied)
    monkeypatch.setattr(SideBySide, "is_lost", drawn)
    written = 0
    for seed in range(60):
        begun.clear()
        world = draw_world(seed, folder)
        assert judged(world) is None
        if world.settings.transactions_lost is not None:
            written += sum(world.written.values())
    assert max(open_at_once) > 1
    assert any(losses)
    assert written > 10


def test_without_a_server_there_is_one_at_a_time(folder: Path) -> None:
    for seed in range(20):
        assert draw_world(seed, folder, server=False).settings.transactions_lost is None
