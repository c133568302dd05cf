"""Bugs planted where outputs are put before their Steps have ended: the swarm finds each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.sim.planted.finding import assert_found
from tests.sweeping import shared

from weftrun.machines.run import attempts, early, machine
from weftrun.machines.run.state import RunState, Step

Plant = Callable[[pytest.MonkeyPatch], None]


def an_output_of_a_failed_attempt_stays_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has begun on it goes on, whatever the next Attempt puts."""

    def only_forget(run: RunState, step: Step):
        early.drop_early(run, step)

    monkeypatch.setattr(early, "take_back", only_forget)


def a_put_is_not_agreed_between_two_attempts(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put first stands, whichever Attempt gives the outcome."""
    put = early.output_put

    def first(run: RunState, event):
        step = run.steps[event.step]
        function = step.function
        step.function = msgspec.structs.replace(function, deterministic=True)
        put(run, event)
        step.function = function

    monkeypatch.setattr(machine, "output_put", first)
    monkeypatch.setattr(attempts, "attempt_over", lambda run, step: None)


def what_ran_ahead_is_recorded_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The outcome of a reader does not wait for the Step that has put what it read (C1)."""

    def at_once(run: RunState, step: Step, ended):
        attempts._take(run, step, ended)

    monkeypatch.setattr(attempts, "hold_back", at_once)


def a_visible_step_runs_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Step that does something outside starts on what was put (G-a)."""
    may = early.may_run_ahead

    def blind(run: RunState, step: Step):
        function = step.function
        step.function = msgspec.structs.replace(function, effects="none")
        found = may(run, step)
        step.function = function
        return found

    monkeypatch.setattr(attempts, "may_run_ahead", blind)


def a_strict_output_is_read_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output of a Function with `checkpoint="sync"` is read before its record is durable (G-b)."""
    monkeypatch.setattr(
        early, "_is_there", lambda run, producer: producer.outcome is not None or producer.early is not None
    )


PLANTS: tuple[tuple[Plant, str], ...] = (
    (an_output_of_a_failed_attempt_stays_visible, "rests on another value"),
    (a_put_is_not_agreed_between_two_attempts, "rests on another value"),
    (what_ran_ahead_is_recorded_at_once, ""),
    (a_visible_step_runs_ahead, "G-a"),
    (a_strict_output_is_read_early, "G-a: "),
)


@pytest.mark.parametrize("planted", shared(PLANTS), ids=lambda planted: planted[0].__name__)
def test_a_planted_bug_is_found(planted: tuple[Plant, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = planted
    plant(monkeypatch)
    assert_found(text, folder, outputs=True)
