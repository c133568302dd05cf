"""Port calls of small Runs fail in turn, in every way: a share of them; in the sweep all, and pairs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weftrun.testing.sim.faults import KINDS, OF_OPERATORS
from weftrun.testing.sim.scenarios import HELD, LONG, SCENARIOS
from weftrun.testing.sim.sweep import Scenario, play, sweep, sweep_pairs

SINGLES = 0.03
"""Share of the single faults that are tried outside of the sweep."""
SHARE = float(os.environ.get("WEFTRUN_PAIRS", "0.005"))
"""Share of all pairs of faults that are tried, drawn by a seed; `WEFTRUN_PAIRS=1` tries them all."""


def name(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", [*SCENARIOS, *LONG, *HELD], ids=name)
def test_undisturbed(scenario: Scenario, folder: Path) -> None:
    for seed in range(3):
        _, broken = play(scenario, seed, {}, folder)
        assert broken is None, str(broken)


@pytest.mark.parametrize("scenario", [*SCENARIOS, *HELD], ids=name)
def test_a_share_of_single_faults(scenario: Scenario, folder: Path) -> None:
    found = next(sweep(scenario, folder, share=SINGLES), None)
    assert found is None, str(found)


@pytest.mark.sweep
@pytest.mark.parametrize("scenario", [*SCENARIOS, *HELD], ids=name)
def test_every_single_fault_and_a_share_of_pairs(scenario: Scenario, folder: Path) -> None:
    # Histories of two engines are long, and where one stands still there are many.
    share = SHARE if scenario.settings.engines == 1 else SHARE / 8
    found = next(sweep_pairs(scenario, folder, share=share), None)
    assert found is None, str(found)


@pytest.mark.sweep
@pytest.mark.parametrize("scenario", LONG, ids=name)
def test_every_fault_of_the_journal_in_a_long_map(scenario: Scenario, folder: Path) -> None:
    found = next(sweep(scenario, folder, only="journal"), None)
    assert found is None, str(found)


def test_the_scenarios_reach_every_kind_of_point(folder: Path) -> None:
    reached = set()
    for scenario in (*SCENARIOS, *HELD):
        world, _ = play(scenario, 1, {}, folder)
        reached |= set(world.faults.points)
    assert set(KINDS) - OF_OPERATORS == reached


def test_a_seed_is_one_history(folder: Path) -> None:
    scenario = SCENARIOS[1]
    digests = set()
    for _ in range(3):
        world, _ = play(scenario, 5, {}, folder)
        digests.add(world.loop.digest)
    assert len(digests) == 1
