"""Random worlds with queues, schedules, forks and Runs that are deleted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.sim.test_swarm import FIRST, PART

from weftrun.model.schedules import Timetable
from weftrun.testing.forks import copied_rows
from weftrun.testing.sim.faults import KINDS
from weftrun.testing.sim.forked import ForkActor
from weftrun.testing.sim.scheduled import STEADY
from weftrun.testing.sim.swarm import draw_world, play_seed

QUICK, SWEPT = 4, 150


def play(seeds: range, folder: Path) -> None:
    for seed in seeds:
        _, broken = play_seed(seed, folder, operators=True)
        assert broken is None, f"play_seed({seed}, operators=True)\n{broken}"


def test_seeds(folder: Path) -> None:
    play(range(FIRST, FIRST + QUICK), folder)


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, SWEPT, PART))
def test_more_seeds(first: int, folder: Path) -> None:
    play(range(first, first + PART), folder)


def test_engines_do_not_stand_still_at_decisions_for_ever(folder: Path) -> None:
    """What waits in a queue must get its place once nothing goes wrong: that time comes while a history may last."""
    world = draw_world(95, folder, operators=True)
    stood_s = sum(world.faults.pause_s() for _ in range(1_000) if world.faults.at("journal.queue_now") is not None)
    world.close()
    assert 100.0 < stood_s < 400.0


@pytest.mark.sweep
def test_operators_do_what_they_should(folder: Path) -> None:
    """Runs leave queues for engines that die, schedules fire, forks are given something, and Runs are deleted."""
    acted: Counter[str] = Counter()
    points: set[str] = set()
    engines: set[int] = set()
    for seed in range(80):
        world, _ = play_seed(seed, folder, operators=True)
        acted.update(type(actor).__name__ for actor in world.actors)
        points |= set(world.faults.points)
        register = world.register
        engines |= set(register.queues.left.values())
        acted["left a queue"] += len(register.queues.left)
        acted["fired"] += sum(map(len, register.schedules.ever.values()))
        acted["deleted"] += len(register.deleted)
        for client, _, _ in (fork for actor in world.actors if isinstance(actor, ForkActor) for fork in actor.forks):
            rows = world.rows.get(client.uid, []) if client.uid is not None else []
            acted["forked"] += bool(rows)
            acted["given to a fork"] += copied_rows(rows) > 1
    assert min(acted.values()) > 10, acted
    assert len(engines) > 5
    assert points == set(KINDS)


def test_the_calendar_of_simulated_schedules_goes_both_ways() -> None:
    when = Timetable("", 40)
    assert [STEADY.after(when, at) for at in (0.0, 39.0, 40.0)] == [40, 40, 80]
    assert [STEADY.before(when, at) for at in (39.0, 40.0, 79.0)] == [0, 40, 40]
