"""Bugs planted in what engines and their Workers agree on: the swarm finds each (W3, O3)."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from tests.sim.planted.test_planted import Patch, Plant, check_found, title
from tests.sweeping import shared

from weftrun.machines import homes, shares
from weftrun.machines.homes import HomesMachine, Left
from weftrun.machines.run import arming, machine
from weftrun.machines.worker_lease import WorkerLeases, WorkersSeen
from weftrun.model.limits import Limits
from weftrun.model.policy import Kind
from weftrun.runtime.worker_group import WorkerGroup
from weftrun.testing.oracles import findings
from weftrun.testing.sim import hosts
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.clockwork import Stuck
from weftrun.testing.sim.joining import draw_joins
from weftrun.testing.sim.outside import Pace
from weftrun.testing.sim.plans import FUNCTIONS, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.reference import differences
from weftrun.testing.sim.settings import Settings, WorkerSettings
from weftrun.testing.sim.swarm import play_seed
from weftrun.testing.sim.world import World


def a_gated_step_is_armed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker enters a visible Step as soon as its inputs are there, whatever is durable (G-a)."""

    def careless(step):
        return step.map is None and not step.after and step.function.kind is Kind.FUNCTION and step.waiting > 0

    monkeypatch.setattr(arming, "_may_be_armed", lambda step: careless(step) and _all_give(step))


def _all_give(step):
    return all(arming._gives_in_time(producer) for producer in arming._producers(step))


def a_sync_value_is_handed_on_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker starts the reader of a `sync` value that it has made, before that is durable (G-b)."""
    monkeypatch.setattr(
        arming, "_gives_in_time", lambda producer: producer.map is None and producer.function.kind is Kind.FUNCTION
    )


def what_a_dead_worker_had_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody hears that its Attempts are lost."""
    left = HomesMachine.left
    monkeypatch.setattr(HomesMachine, "left", lambda self, *rest: Left(left(self, *rest).assigned, []))


def a_frozen_worker_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is never declared dead, and stands still for longer than anybody waits."""
    monkeypatch.setattr(WorkerLeases, "look", lambda self, now, heard: WorkersSeen((), now + 1.0))
    monkeypatch.setattr(hosts.SimWorker, "_watch", lambda _: None)
    freeze = hosts.SimWorker.freeze
    monkeypatch.setattr(hosts.SimWorker, "freeze", lambda self, _: freeze(self, 2_000))


def a_worker_that_is_cut_off_may_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is granted time without end, so that it still enters bodies when it was declared dead (W6)."""
    monkeypatch.setattr(WorkerLeases, "until", lambda *_: math.inf)
    monkeypatch.setattr(hosts.SimWorker, "_watch", lambda _: None)


def an_ended_run_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers go on with what is left of a Run that is over."""
    forget = WorkerGroup._forget

    def partly(self, run):
        forget(self, run)
        return []

    monkeypatch.setattr(WorkerGroup, "_forget", partly)


def a_plan_outlives_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was planned for a Worker that is gone still waits for it: nobody has it, and nobody hears so."""
    left = HomesMachine.left

    def keeps(self, worker, *rest):
        plans = {run: dict(given.planned) for run, given in self._runs.items()}
        lost = left(self, worker, *rest)
        for run, planned in plans.items():
            self._runs[run].planned = planned
        return lost

    monkeypatch.setattr(HomesMachine, "left", keeps)


def an_outcome_overtakes_what_has_set_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one Worker reports is told before another one has reported what it rests on (W1)."""

    def at_once(self, worker, run, event):
        if (given := self._runs.get(run)) is not None:
            self._note(given, worker, event)
        return event

    monkeypatch.setattr(HomesMachine, "ended", at_once)


def what_runs_on_a_lost_value_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker is gone that had handed on a value and not told of it: what others began on it goes on (W6)."""
    monkeypatch.setattr(HomesMachine, "_take_back", lambda *_: [])


def a_lost_start_keeps_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is still told of a start on a lost value is believed, for the next Attempt has the same number."""
    monkeypatch.setattr(machine, "disarmed", lambda *_: None)


def what_was_lost_on_the_way_is_not_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker waits for ever for a value that never comes from another one (W5)."""
    monkeypatch.setattr(HomesMachine, "overdue", lambda _: [])


def what_waits_dies_with_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that a Worker had is lost with it, whether a Sandbox had it or not (W9)."""
    monkeypatch.setattr(homes, "goes_on", lambda *_: False)
    monkeypatch.setattr(shares, "goes_on", lambda *_: False)


def nobody_notes_what_sandboxes_get(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was entered on a Worker that is gone goes to another one, as if it had only waited (W9)."""
    monkeypatch.setattr(HomesMachine, "handed", lambda *_: None)


def a_worker_apart_waits_for_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """It enters what must not be entered twice before its engine knows, and may be cut off then (W9)."""
    monkeypatch.setattr(hosts.SimLink, "must_ask", lambda *_: False)


PLANTS = (
    Plant(what_waits_dies_with_its_worker, "W9", seeds=10, first=10, lives=True, workers=True),
    Plant(what_was_lost_on_the_way_is_not_mended, "is not done after", seeds=50, lives=True, workers=True, joins=True),
    Plant(a_plan_outlives_its_worker, "KeyError", seeds=40, lives=True, workers=True),
    Plant(a_gated_step_is_armed, "G-a", seeds=60, lives=True, workers=True),
    Plant(a_sync_value_is_handed_on_at_once, "G-a", seeds=60, lives=True, workers=True),
    Plant(what_a_dead_worker_had_is_forgotten, "is not done after", seeds=40, lives=True, workers=True),
    Plant(a_frozen_worker_is_waited_for, "is not done after", seeds=60, lives=True, workers=True),
    Plant(an_ended_run_is_not_told, "sandboxes", seeds=20, lives=True, workers=True),
    Plant(an_ended_run_is_not_told, "O3", seeds=20, first=35, lives=True, workers=True),
)


@pytest.mark.parametrize("plant", shared(PLANTS, keeps=lambda plant: plant.seeds <= 40 and not plant.first), ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)


@pytest.mark.sweep
@pytest.mark.parametrize(
    ("plant", "seed"), [(nobody_notes_what_sandboxes_get, 69), (a_worker_apart_waits_for_no_word, 207)]
)
def test_what_is_entered_twice_though_it_must_not_be_is_found(
    plant: Patch, seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In worlds in which some Attempts share a Sandbox: those have `retries=0`."""
    plant(monkeypatch)
    found: set[str] = set()
    for other in (seed, *range(400)):
        _, broken = play_seed(other, folder, workers=True, sharing=True)
        found.update(broken.findings if broken is not None else ())
        if any("may be once" in text for text in found):
            return
    pytest.fail(f"nobody says that it was entered twice: {sorted(found)[:10]}")


def texts_of_workers_that_are_cut_off(folder: Path, seed: int) -> list[str]:
    """Play a Run of slow Steps on two Workers, each of which is cut off sooner or later, like those after it."""
    settings = Settings(
        limits=Limits(lease_ttl_s=0.5, sandbox_idle_s=10.0, sandbox_start_s=10.0),
        sandboxes_max=1,
        pace=Pace(body_s=(0.1, 0.6)),
        workers=WorkerSettings(count=2, sandboxes=1, cuts=1.0),
    )
    world = World(seed, folder, FUNCTIONS, settings=settings)
    world.start("one", wired, BodyPlan((Op("call", "draw"),) * 12, (0,)))
    try:
        world.run()
    finally:
        world.close()
    return findings(world)


def test_a_worker_that_goes_on_when_it_is_cut_off_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(10):
        assert texts_of_workers_that_are_cut_off(folder, seed) == []
    a_worker_that_is_cut_off_may_go_on(monkeypatch)
    texts = {text for seed in range(10) for text in texts_of_workers_that_are_cut_off(folder, seed)}
    assert any("once: draw" in text and "had fixed it" in text for text in texts), sorted(texts)[:10]


JOINS = WorkerSettings(count=3, sandboxes=2, arms=True, placement="hash")
CUT_OFF = Pace(body_s=(0.05, 0.3)), replace(JOINS, cuts=0.4)
"""Many Workers are cut off while they make something."""
LATE = Pace(body_s=(0.001, 0.02)), replace(JOINS, reports_s=(0.0, 0.2))
"""What one Worker reports is often overtaken by what that has set off at another one."""


def texts_of_joins(folder: Path, seed: int, pace: Pace, workers: WorkerSettings) -> list[str]:
    """Play Runs of Steps that join what three Workers make."""
    settings = Settings(
        limits=Limits(
            lease_ttl_s=0.5, sandbox_idle_s=10.0, sandbox_start_s=10.0, losses_max=50, inline_bytes_max=4_096
        ),
        sandboxes_max=1,
        pace=pace,
        workers=workers,
    )
    world = World(seed, folder, FUNCTIONS, settings=settings)
    for number in range(8):
        plan = draw_joins(Chance(seed, f"joins {number}"))
        world.start(f"run-{number}", wired, plan, at_s=0.15 * number)
    try:
        world.run()
        return [*findings(world), *differences(world)]
    except Stuck as error:
        return [str(error)]
    finally:
        world.close()


@pytest.mark.parametrize(
    ("plant", "says", "world"),
    [
        (what_runs_on_a_lost_value_stands, "single value", CUT_OFF),
        pytest.param(a_lost_start_keeps_its_number, "is not done after", CUT_OFF, marks=pytest.mark.sweep),
        pytest.param(an_outcome_overtakes_what_has_set_it_off, "is not done after", LATE, marks=pytest.mark.sweep),
    ],
)
def test_what_workers_start_on_values_of_others_is_known_to_be_so(
    plant: Patch, says: str, world: tuple[Pace, WorkerSettings], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds = (16, 32)
    for seed in seeds:
        assert texts_of_joins(folder, seed, *world) == []
    plant(monkeypatch)
    texts = {text for seed in seeds for text in texts_of_joins(folder, seed, *world)}
    assert any(says in text for text in texts), sorted(texts)[:10]
