"""Every port call of small Runs fails in turn, in every way; then pairs, drawn by a seed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weftrun.testing.sim.scenarios import SCENARIOS
from weftrun.testing.sim.sweep import Scenario, play, sweep, sweep_pairs

SHARE = float(os.environ.get("WEFTRUN_PAIRS", "0.001"))
"""Share of all pairs of faults that are tried, drawn by a seed; `WEFTRUN_PAIRS=1` tries them all, which takes hours."""


def name(scenario: Scenario) -> str:
    return scenario.name


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_undisturbed(scenario: Scenario, tmp_path: Path) -> None:
    for seed in range(5):
        _, broken = play(scenario, seed, {}, tmp_path)
        assert broken is None, str(broken)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_every_single_fault(scenario: Scenario, tmp_path: Path) -> None:
    found = next(sweep(scenario, tmp_path), None)
    assert found is None, str(found)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=name)
def test_pairs_of_faults(scenario: Scenario, tmp_path: Path) -> None:
    found = next(sweep_pairs(scenario, tmp_path, share=SHARE), None)
    assert found is None, str(found)
