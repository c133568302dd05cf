"""Bugs planted where outputs are put for all Attempts of a Step: the swarm finds each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sim.planted.finding import assert_found
from tests.sweeping import shared

from weftrun.machines.run import fixing, machine
from weftrun.machines.run.state import RunState, State, Step
from weftrun.model.commands import PutFixed
from weftrun.model.events import OutputPut

Plant = Callable[[pytest.MonkeyPatch], None]


def a_later_attempt_keeps_what_it_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A put is not agreed between two Attempts: each is given back what it has put."""

    def put(run: RunState, event: OutputPut) -> None:
        fixing.put_durably(run, event)
        run.commands.append(PutFixed(event.step, event.attempt, event.value.data))

    monkeypatch.setattr(machine, "put_durably", put)


def what_runs_ahead_fixes_what_it_puts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that rests on what is provisional is recorded (S1, C1)."""

    def fix(run: RunState) -> None:
        for step, output, _ in run.puts:
            if output.state is State.WAITING and output.early is not None and step.state is State.RUNNING:
                fixing._fix(run, step, output)
        fixing.fix_puts(run)

    monkeypatch.setattr(machine, "fix_puts", fix)


def what_a_put_rests_on_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A put is recorded before what the Step that puts it rests on (C1)."""
    monkeypatch.setattr(fixing, "rest_on_rows", lambda run, step: None)


def a_visible_reader_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that does something outside is entered before the record of what was put (G-a)."""
    mark = fixing.mark

    def at_once(run: RunState, output: Step, *args: object, row: int, **named: object) -> None:
        mark(run, output, *args, row=min(row, run.committed), **named)

    monkeypatch.setattr(fixing, "mark", at_once)


PLANTS: tuple[tuple[Plant, str], ...] = (
    (a_later_attempt_keeps_what_it_puts, "rests on another value"),
    (what_runs_ahead_fixes_what_it_puts, "C1"),
    (what_a_put_rests_on_is_not_recorded, "C1"),
    (a_visible_reader_does_not_wait, "G-a"),
)


@pytest.mark.parametrize("planted", shared(PLANTS), ids=lambda planted: planted[0].__name__)
def test_a_planted_bug_is_found(planted: tuple[Plant, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = planted
    plant(monkeypatch)
    assert_found(text, folder, durable=True)
