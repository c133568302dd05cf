"""Bugs of the engine that the simulator has found, each with the shortest history that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sweeping import shared

from weftrun.model.limits import Limits
from weftrun.testing.oracles import findings
from weftrun.testing.sim.faults import Fault, Faults
from weftrun.testing.sim.plans import FUNCTIONS, watched, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.reference import differences
from weftrun.testing.sim.scenarios import SCENARIOS
from weftrun.testing.sim.swarm import play_seed
from weftrun.testing.sim.sweep import play
from weftrun.testing.sim.world import Settings, World

NARROW = Settings(limits=Limits(inline_bytes_max=64))


def played(folder: Path, workflow, plan: BodyPlan, *, settings: Settings | None = None, plan_of_faults=None) -> World:
    world = World(1, folder, FUNCTIONS, settings=settings, faults=Faults(plan_of_faults))
    world.start("one", workflow, plan)
    try:
        world.run()
    finally:
        world.close()
    assert [*findings(world), *differences(world)] == [], world.story()
    return world


def test_an_answer_holds_an_empty_map_of_an_async_body(folder: Path) -> None:
    world = played(folder, watched, BodyPlan((Op("map", "quiet"),), (0,)))
    assert world.clients[0].answers[0][1][0] == []


def test_items_of_a_map_are_an_empty_map_of_an_async_body(folder: Path) -> None:
    plan = BodyPlan((Op("map", "quiet"), Op("map", "quiet", (0,))), (1,), bare=True)
    played(folder, wired, BodyPlan((Op("watched", plan=plan),), (0,), bare=True))


def test_a_value_that_was_awaited_is_taken_by_an_open_call(folder: Path) -> None:
    played(folder, watched, BodyPlan((Op("call", "quiet"), Op("await", takes=(0,)), Op("call", "quiet", (0,))), (1,)))


def test_an_answer_holds_a_failed_step_whose_failure_was_caught(folder: Path) -> None:
    plan = BodyPlan((Op("call", "broken"), Op("await", takes=(0,))), (0,))
    world = World(1, folder, FUNCTIONS)
    world.start("one", watched, plan)
    try:
        world.run()
    finally:
        world.close()
    assert world.clients[0].answers[0][0] == "failed"
    assert findings(world) == []


def test_a_child_answers_with_a_failed_step_that_nobody_takes(folder: Path) -> None:
    child = BodyPlan((Op("call", "broken"), Op("await", takes=(0,))), (0,))
    world = World(1, folder, FUNCTIONS)
    world.start("one", watched, BodyPlan((Op("watched", plan=child), Op("await", takes=(0,))), ()))
    try:
        world.run()
    finally:
        world.close()
    assert findings(world) == []


def test_joining_a_run_holds_no_object_for_ever(folder: Path) -> None:
    world = played(folder, wired, BodyPlan((Op("call", "quiet"),) * 20, (0,)), settings=NARROW)
    assert world.left["objects"] == 0


def test_time_seen_with_a_deterministic_value_is_on_record_before_it_is_shown(folder: Path) -> None:
    timed = next(scenario for scenario in SCENARIOS if scenario.name == "timed")
    for point in range(30):
        _, broken = play(timed, 1, {point: Fault.CRASH_BEFORE}, folder)
        assert broken is None, str(broken)


@pytest.mark.parametrize("point", shared(range(0, 120, 3), every=8))
def test_a_value_behind_an_answer_is_kept_for_its_last_reader(point: int, folder: Path) -> None:
    inner = BodyPlan((Op("call", "large"), Op("call", "large")), (1,))
    reader = BodyPlan((Op("map", "large", (), 1), Op("await", takes=(0,)), Op("map", "large", (), 3)), ())
    plan = BodyPlan((Op("wired", plan=inner), Op("watched", takes=(0,), plan=reader)), (1,))
    played(folder, wired, plan, plan_of_faults={point: Fault.CRASH_BEFORE})


@pytest.mark.parametrize("point", shared(range(40), every=8))
def test_an_open_call_rests_on_what_was_seen_before_it(point: int, folder: Path) -> None:
    ops = (Op("map", "sleepy", (), 1), Op("call", "quiet"), Op("await", takes=(1,)), Op("call", "quiet", (0,)))
    played(folder, watched, BodyPlan(ops, (0, 2)), plan_of_faults={point: Fault.CRASH_BEFORE})


@pytest.mark.parametrize("point", shared(range(40), every=8))
def test_the_time_a_child_begins_at_rests_on_what_it_takes(point: int, folder: Path) -> None:
    child = BodyPlan((Op("call", "draw"),), (0,))
    plan = BodyPlan((Op("call", "fixed"), Op("watched", takes=(0,), plan=child)), (1,))
    played(folder, wired, plan, plan_of_faults={point: Fault.CRASH_BEFORE})


@pytest.mark.parametrize("point", shared(range(40), every=8))
def test_a_body_lost_with_its_engine_tells_its_map_afresh(point: int, folder: Path) -> None:
    plan = BodyPlan((Op("call", "quiet"), Op("map", "large", (0,), 3), Op("map", "quiet", (), 3)), (1, 2))
    settings = Settings(limits=Limits(batch_items_max=1))
    for workflow in (wired, watched):
        for later in (2, 5, 9):
            crashes = dict.fromkeys((point, point + later), Fault.CRASH_BEFORE)
            played(folder, workflow, plan, settings=settings, plan_of_faults=crashes)


@pytest.mark.parametrize("point", shared(range(0, 60, 2), every=8))
def test_what_a_body_says_after_it_was_left_is_released(point: int, folder: Path) -> None:
    child = BodyPlan((Op("call", "quiet"),) * 4, (0,))
    plan = BodyPlan((Op("watched", plan=child), Op("call", "broken"), Op("watched", plan=child)), (0, 2))
    world = World(1, folder, FUNCTIONS, settings=NARROW, faults=Faults({point: Fault.DIE}))
    world.start("one", wired, plan)
    try:
        world.run()
    finally:
        world.close()
    assert findings(world) == []


def test_a_map_that_fails_by_an_argument_takes_its_other_items_back(folder: Path) -> None:
    failing = BodyPlan((Op("call", "broken"), Op("map", "stumbles", (0,), 3), Op("await", takes=(0,))), (), bare=True)
    settings = Settings(limits=Limits(batch_items_max=1, batch_size_max=1, inline_bytes_max=64), sandboxes_max=1)
    world = World(1, folder, FUNCTIONS, settings=settings)
    for number in range(3):
        world.start(f"run-{number}", watched, failing)
    try:
        world.run()
    finally:
        world.close()
    assert findings(world) == []


TWO = Settings(
    engines=2, hosts=2, limits=Limits(lease_ttl_s=2.0, inline_bytes_max=64, sandbox_idle_s=10.0, sandbox_start_s=10.0)
)


def two_engines(folder: Path, plan: BodyPlan, seed: int, faults: dict[int, Fault], settings: Settings = TWO) -> World:
    """Play a Run that two clients start at two engines; a pause lasts longer than the Lease."""
    world = World(seed, folder, FUNCTIONS, settings=settings, faults=Faults(faults, pause_s=7.0))
    world.start("one", wired, plan)
    world.start("one", wired, plan, slot=1)
    try:
        world.run()
    finally:
        world.close()
    assert [*findings(world), *differences(world)] == [], world.story()
    return world


@pytest.mark.parametrize("seed", shared(range(20), every=8))
def test_one_id_is_started_at_two_engines_at_once(seed: int, folder: Path) -> None:
    world = two_engines(folder, BodyPlan((Op("call", "draw"),), (0,)), seed, {})
    assert [client.refused for client in world.clients] == [None, None]
    assert len(world.rows) - sum(not rows for rows in world.rows.values()) == 1


def test_a_run_that_keeps_nothing_goes_on_when_its_engine_has_lost_all_others(folder: Path) -> None:
    """Nothing is owned any more, so nothing bounds what is entered: whoever waited for the Lease is told."""
    _, broken = play_seed(3767, folder, effects=False)
    assert broken is None, str(broken)


def test_an_engine_that_closed_while_it_looked_a_run_up_claims_it_no_more(folder: Path) -> None:
    """Nobody would put it back, and the take-over would count."""
    _, broken = play_seed(10_425, folder, effects=False)
    assert broken is None, broken


@pytest.mark.parametrize("seed", shared([425, 933, 985, 8758, 13_249]))
def test_what_steps_do_outside_under_every_fault(seed: int, folder: Path) -> None:
    """A Run that was read again was not counted as owned; a delivery went on in the session after its own; what a body
    returned whose transaction was lost was held for ever; a failure on record that a body passes on was taken for one
    of this engine's, which let the Run alone for ever.
    """
    _, broken = play_seed(seed, folder, server=False)
    assert broken is None, str(broken)


def test_a_full_disk_may_keep_a_run_from_being_claimed(folder: Path) -> None:
    """Nine claims in a row found no room, and that the Run was free for six seconds was held against the engine."""
    _, broken = play_seed(35_003, folder, server=False)
    assert broken is None, str(broken)


@pytest.mark.sweep
@pytest.mark.parametrize("seed", [32_170, 52_503])
def test_a_slow_journal_is_given_time(seed: int, folder: Path) -> None:
    """Each call takes up to a third of the Lease, a transaction longer than all of it: what engines lose to each other
    ends all the same, but later than the simulator had the patience for.
    """
    _, broken = play_seed(seed, folder, server=False)
    assert broken is None, str(broken)


def test_rows_of_a_lost_session_are_given_up_with_it(folder: Path) -> None:
    """Their bytes were not stored when it was lost. They came between rows of the same Run, which the next session had
    claimed again, and what became of them was told of that Run.
    """
    _, broken = play_seed(28_191, folder, server=False)
    assert broken is None, str(broken)


def test_items_without_a_record_that_no_graph_tells_of(folder: Path) -> None:
    """A map of an async body, which did not wait for it, was recorded in part: its last item was made quickly. That no
    record tells that it may be left out was held against the engine.
    """
    _, broken = play_seed(35_430, folder)
    assert broken is None, str(broken)


def test_an_engine_that_closes_without_a_session_claims_nothing(folder: Path) -> None:
    """It found no room for its session, once more when it was closed, and then room for a claim that nobody owned."""
    _, broken = play_seed(53_374, folder, server=False)
    assert broken is None, str(broken)


def test_a_body_of_a_run_that_was_given_up_takes_no_turn(folder: Path) -> None:
    """It waited for its turn when a commit of the same Run was lost, had it afterwards, and kept it for good: nobody
    took its outcome.
    """
    _, broken = play_seed(1_671, folder)
    assert broken is None, str(broken)


def test_a_fork_is_given_values_of_a_later_life(folder: Path) -> None:
    """They tell the names that their Steps had there, with the number of the life, which the fork's Steps have not;
    that its answer rests on them was held against the engine.
    """
    _, broken = play_seed(187, folder, operators=True)
    assert broken is None, str(broken)


def test_a_run_is_cancelled_before_its_engine_knows_that_it_is_in_its_queue(folder: Path) -> None:
    """The engine put it there once more, which changed nothing; the simulator took it to wait again, and others to have
    left before it.
    """
    _, broken = play_seed(487, folder, operators=True)
    assert broken is None, str(broken)
