"""Wrong transitions of Steps, planted into the machine of a Run: the simulator checks each Run after each event."""

from __future__ import annotations

import heapq
from pathlib import Path
from types import SimpleNamespace

import pytest
from tests.sim.planted.test_planted import Plant, check_found, title

from weftrun.machines.run import attempts
from weftrun.machines.run.state import State
from weftrun.machines.run.transitions import move

_UNGATE = attempts._ungate


def an_open_gate_is_overlooked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Step whose row is durable is not started, and nothing else will."""
    monkeypatch.setattr(attempts, "_ungate", lambda run, step, chunk: chunk and _UNGATE(run, step, chunk))


def a_gated_step_is_called_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Step whose row is durable counts as sent, though nobody sends it."""

    def hasty(run, step, chunk):
        if chunk is None:
            move(step, State.RUNNING)
        _UNGATE(run, step, chunk)

    monkeypatch.setattr(attempts, "_ungate", hasty)


def a_retry_has_no_due_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next Attempt waits for a time that never comes."""
    mute = SimpleNamespace(heappush=lambda *_: None, heappop=heapq.heappop, heapify=heapq.heapify)
    monkeypatch.setattr(attempts, "heapq", mute)


PLANTS = (
    Plant(an_open_gate_is_overlooked, "is GATED, and no row opens its gate", scenario="diamond"),
    Plant(an_open_gate_is_overlooked, "is GATED, and no row opens its gate", seeds=20),
    Plant(a_gated_step_is_called_running, "was GATED and can't become RUNNING", seeds=20),
    Plant(a_retry_has_no_due_time, "is BACKING_OFF, and its next Attempt has no due time", seeds=40),
)


@pytest.mark.parametrize("plant", PLANTS, ids=title)
def test_a_wrong_transition_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)
