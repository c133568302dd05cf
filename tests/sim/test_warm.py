"""Histories in which Sandboxes that wait are ended for memory, and made ahead: nothing is wrong in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.sweeping import shared

from weftrun.model.warm import Warm
from weftrun.runtime.worker_driver import WorkerDriver
from weftrun.testing.sim import swarm

MIB = 1 << 20
drawn = swarm.draw_settings


@pytest.mark.parametrize("first", shared(range(0, 40, 4)))
def test_histories_with_little_memory_are_right(first: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended = 0
    note = WorkerDriver._note_warm

    def noting(worker: WorkerDriver) -> None:
        nonlocal ended
        note(worker)
        counts = worker.warm
        if worker._may_enter() and not worker._drains:  # else nothing is placed, and a tick looks after memory
            assert counts.bytes_max is not None and counts.held_bytes <= counts.bytes_max
        ended = max(ended, counts.ended.get("memory", 0))

    def with_little(chance: swarm.Chance) -> swarm.Settings:
        settings = drawn(chance)
        return replace(settings, warm=Warm(bytes_max=settings.sandboxes_max % 3 * 2 * MIB, ahead=True))

    monkeypatch.setattr(swarm, "draw_settings", with_little)
    monkeypatch.setattr(WorkerDriver, "_note_warm", noting)
    for seed in range(first, first + 4):
        _, broken = swarm.play_seed(seed, folder)
        assert broken is None, broken
    assert ended, "nothing is ended for memory"
