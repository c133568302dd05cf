"""Bugs planted in joins that need only some of what they take: the swarm finds each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from tests.sim.planted.finding import assert_found
from tests.sweeping import shared

from weftrun.machines.run import attempts, first, grow, joins, settle
from weftrun.machines.run.state import RunState, Step

Plant = Callable[[pytest.MonkeyPatch], None]


def which_came_first_is_taken_for_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join counts as deterministic, so what reads it does not wait for its record (C1, G-a)."""

    def surely(run: RunState, join: Step) -> None:
        join.function = msgspec.structs.replace(join.function, deterministic=True)
        first.settle_join(run, join)

    monkeypatch.setattr(attempts, "settle_join", surely)


def what_came_is_not_recorded_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """The record of a join does not see to it that what it names has one (C1)."""
    monkeypatch.setattr(first, "observe", lambda run, step: None)


def one_that_fails_fails_the_join(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join gives up while enough of its candidates may still come."""
    monkeypatch.setattr(settle, "is_lost", lambda run, join: True)


def a_join_is_not_told_of_dead_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join waits on though too few of its candidates are left."""
    monkeypatch.setattr(settle, "is_lost", lambda run, join: False)


def what_comes_late_is_taken_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join that has what it needs takes what comes in the same moment."""

    def always(run: RunState, join: Step, producer: Step) -> None:
        join.waiting = max(0, join.waiting - 1)
        run.arrived.setdefault(join.index, []).append(producer.number)

    monkeypatch.setattr(joins, "arrived", always)
    monkeypatch.setattr(grow, "arrived", always)
    monkeypatch.setattr(
        settle, "_arrives", lambda run, join, step: (always(run, join, step), run.ready.append(join))
    )  # fmt: skip


def what_does_something_outside_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that came too late is cancelled half-way, whatever it does."""
    monkeypatch.setattr(first, "_may_be_dropped", lambda step: True)


def what_somebody_waits_for_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A join cancels what another one still waits for."""
    monkeypatch.setattr(first, "is_wanted", lambda step: False)


PLANTS: tuple[tuple[Plant, str], ...] = (
    (one_that_fails_fails_the_join, "could still come"),
    (which_came_first_is_taken_for_sure, "before it was on record what came first"),
    (what_came_is_not_recorded_before, "whose success is not on record before it"),
    (a_join_is_not_told_of_dead_paths, "too few of what it takes can still come"),
    (what_comes_late_is_taken_too, "join: "),
    (what_does_something_outside_is_let_go, "may have done something outside"),
    (what_somebody_waits_for_is_let_go, "waited for it"),
)


@pytest.mark.parametrize("planted", shared(PLANTS), ids=lambda planted: planted[0].__name__)
def test_a_planted_bug_is_found(planted: tuple[Plant, str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, text = planted
    plant(monkeypatch)
    assert_found(text, folder, firsts=True)
