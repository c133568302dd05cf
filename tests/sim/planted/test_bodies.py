"""Bugs planted around bodies that go on for ever: each is found by the swarm, within so many seeds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.sim.planted.test_planted import Plant, check_found, every_second, title
from tests.sweeping import shared

from weftrun.machines.worker import bodies, turns
from weftrun.machines.worker.machine import WorkerMachine
from weftrun.model.events import BodyLost
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.work import Tell
from weftrun.testing.sim.guest import ScriptedGuest

_LOSE = bodies.lose


def nobody_ends_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body has all the time there is."""
    monkeypatch.setattr(turns, "timeout_s", lambda held, limits: math.inf)


def the_culprit_is_entered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever overran his time is replayed like his neighbours, and overruns it again."""

    def forgiving(state, box, *rest):
        box.overran = False
        _LOSE(state, box, *rest)

    monkeypatch.setattr(bodies, "lose", forgiving)


def neighbours_count_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was in a Sandbox has lost an Attempt, whoever it was ended for."""

    def strict(state, box, why, *rest):
        before = len(state.commands)
        _LOSE(state, box, why, *rest)
        state.commands[before:] = [_counted(command, why) for command in state.commands[before:]]

    monkeypatch.setattr(bodies, "lose", strict)


def _counted(command, why):
    if isinstance(command, Tell) and isinstance(command.event, BodyLost) and command.event.failure is None:
        return replace(command, event=replace(command.event, failure=Failure(Reason.LOST, "SandboxLost", why)))
    return command


def time_counts_in_which_nobody_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that stood still takes it for the body's time."""
    monkeypatch.setattr(turns, "_GAP_S", math.inf)
    monkeypatch.setattr(turns, "_LOOK_S", 5.0)


def a_body_is_entered_where_it_was_brought_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waited behind a long turn, and went elsewhere, is entered here too when the turn is over (B1)."""
    monkeypatch.setattr(ScriptedGuest, "hears", lambda self, message: None)


def what_waits_for_a_sandbox_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies that found no Sandbox which was not held up wait for ever."""
    place = WorkerMachine.place

    def forgetful(self, now):
        parked, self.state.parked = self.state.parked, {}
        place(self, now)
        self.state.parked = parked

    monkeypatch.setattr(WorkerMachine, "place", forgetful)


PLANTS = (
    Plant(nobody_ends_a_body, "Stuck", seeds=40, lives=True),
    Plant(the_culprit_is_entered_again, "Stuck", seeds=40, lives=True),
    Plant(neighbours_count_a_loss, "lost an Attempt", seeds=30, first=30, lives=True),
    Plant(time_counts_in_which_nobody_looked, "and it does not", seeds=30, first=220, lives=True),
    Plant(a_body_is_entered_where_it_was_brought_from, "once", seeds=30, first=0, lives=True),
    Plant(what_waits_for_a_sandbox_is_forgotten, "Stuck", seeds=40, lives=True),
)


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=every_second(PLANTS)), ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)
