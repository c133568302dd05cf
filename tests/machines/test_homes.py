"""Which Worker gets what, what of it starts by itself, and what becomes of it when a Worker is gone."""

from __future__ import annotations

from weftrun.machines.homes import ENGINE, Assigned, HomesMachine
from weftrun.machines.placement import Planner
from weftrun.model.commands import Arm, Armed, Invoke, InvokeItems, LeaveBody, Outline, Outlined, Revoke, Taken
from weftrun.model.events import AttemptsEnded, ItemsEnded
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Ran, Reason
from weftrun.model.placement import Placement
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Inline, Tree

QUIET = FunctionSpec("m:quiet", "quiet", effects="none")
ONE, TWO = WorkerId(1), WorkerId(2)
ARGS = Tree(Inline(b"args"))
RUN = 7


def invocation(step: int, attempt: int = 1, undoes: int = 0) -> Invocation:
    return Invocation(0, step, StepId(f"quiet[{step}]"), attempt, ARGS, undoes)


def invoke(*steps: int, attempt: int = 1) -> Invoke:
    return Invoke(QUIET, tuple(invocation(step, attempt) for step in steps))


def arm(step: int, *takes: int) -> Arm:
    return Arm(QUIET, (Armed(invocation(step), tuple(Taken(n, taken, ()) for n, taken in enumerate(takes))),))


def items(*ranges: tuple[int, int]) -> InvokeItems:
    return InvokeItems(QUIET, RUN, 3, StepId("quiet[3]"), 1, ARGS, ARGS, 0, ranges)


def ended(step: int, attempt: int = 1, undoes: int = 0, failure: Failure | None = None) -> AttemptsEnded:
    value = Inline(b"value") if failure is None else None
    return AttemptsEnded(1.0, (Outcome(step, attempt, value, failure, NOT_RUN, undoes),))


def homes(*capacities: int) -> HomesMachine:
    machine = HomesMachine()
    for number, capacity in enumerate(capacities, 1):
        assert machine.joined(WorkerId(number), capacity) == []
    return machine


def steps_at(assigned: list[Assigned]) -> dict[int, list[int]]:
    return {
        each.worker: [i.step for i in each.command.invocations] for each in assigned if isinstance(each.command, Invoke)
    }


def test_work_is_spread_by_what_each_worker_can_do() -> None:
    assigned = steps_at(homes(1, 3).assign(RUN, invoke(*range(8))))
    assert {worker: len(steps) for worker, steps in assigned.items()} == {1: 2, 2: 6}


def test_bodies_stay_with_the_engine() -> None:
    assert homes(1).assign(RUN, LeaveBody(1, 1)) == [Assigned(ENGINE, RUN, LeaveBody(1, 1))]


def test_what_nobody_can_do_waits_for_a_worker() -> None:
    machine = homes()
    assert machine.assign(RUN, invoke(1, 2)) == machine.assign(RUN, items((0, 4))) == []
    machine.assign(RUN, Revoke((2,)))
    given = machine.joined(ONE, 2)
    assert [(each.worker, each.command) for each in given] == [(1, invoke(1)), (1, items((0, 4)))]


def test_items_are_cut_by_what_each_worker_can_do() -> None:
    assigned = homes(1, 3).assign(RUN, items((0, 6), (10, 12)))
    assert {each.worker: each.command.ranges for each in assigned if isinstance(each.command, InvokeItems)} == {
        1: ((0, 2),),
        2: ((2, 6), (10, 12)),
    }


def test_what_a_worker_had_is_lost_with_it() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, invoke(1, 2))
    machine.assign(RUN, items((0, 4)))
    machine.ended(ONE, RUN, ItemsEnded(1.0, 3, 1, ((0, 1, Inline(b"")),), (), NOT_RUN))
    events = machine.left(ONE, "it was killed", 5.0)
    lost = [event for _, event in events]
    assert [run for run, _ in events] == [RUN, RUN]
    assert isinstance(lost[0], AttemptsEnded) and [e.step for e in lost[0].ended] == [1]
    assert isinstance(lost[1], ItemsEnded) and [index for index, _ in lost[1].failures] == [1]
    assert lost[1].failures[0][1].reason is Reason.LOST
    assert lost[1].failures[0][1].message == "Worker 1 is gone: it was killed"
    assert machine.left(TWO, "it was killed", 6.0), "the other one had the rest"
    assert machine.left(TWO, "it was killed", 6.0) == []


def test_only_those_who_have_something_hear_of_its_end() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, invoke(1, 2))
    assert [each.worker for each in machine.assign(RUN, Revoke((2,)))] == [2]
    assert machine.run_closed(RUN) == {1}
    assert machine.run_closed(RUN) == set()


def test_a_step_is_armed_where_what_it_takes_will_be() -> None:
    machine = homes(1, 1)
    assert [each.worker for each in machine.assign(RUN, arm(2, 1))] == [1]
    assert [each.worker for each in machine.assign(RUN, arm(3, 2))] == [1]
    assert steps_at(machine.assign(RUN, invoke(1))) == {1: [1]}
    machine.ended(ONE, RUN, ended(1))
    assert machine.assign(RUN, invoke(2)) == [], "it has started by itself"


def test_a_step_that_takes_nothing_from_a_worker_is_sent_when_it_is_ready() -> None:
    """Nothing that a Worker hears of would start it."""
    machine = homes(1)
    machine.assign(RUN, arm(2))
    assert steps_at(machine.assign(RUN, invoke(2))) == {1: [2]}


def test_a_step_that_takes_from_two_workers_is_not_armed() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, arm(3, 1))
    machine.assign(RUN, arm(4, 2))
    assert machine.assign(RUN, arm(5, 3, 4)) == []


def test_a_step_is_not_armed_behind_what_may_have_ended_already() -> None:
    machine = homes(1)
    machine.assign(RUN, invoke(1))
    assert machine.assign(RUN, arm(2, 1)) == []
    assert steps_at(machine.assign(RUN, invoke(2))) == {1: [2]}


def test_a_step_whose_input_came_from_elsewhere_is_sent_after_all() -> None:
    """What it takes failed there, was undone, and then succeeded on another Worker."""
    machine = homes(1, 1)
    machine.assign(RUN, arm(2, 1))
    machine.assign(RUN, invoke(1))
    machine.left(ONE, "it was killed", 5.0)
    assert steps_at(machine.assign(RUN, invoke(1, attempt=2))) == {2: [1]}
    machine.ended(TWO, RUN, ended(1, 2))
    assert steps_at(machine.assign(RUN, invoke(2))) == {2: [2]}


def test_a_rollback_is_no_success_of_its_step() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, arm(2, 1))
    machine.assign(RUN, invoke(1))
    machine.ended(ONE, RUN, ended(1, failure=Failure(Reason.RAISED, "ValueError", "no")))
    machine.assign(RUN, Invoke(QUIET, (invocation(1, undoes=1),)))
    machine.ended(ONE, RUN, ended(1, undoes=1))
    assert steps_at(machine.assign(RUN, invoke(1, attempt=2))) == {1: [1]}
    machine.ended(ONE, RUN, ended(1, 2))
    assert machine.assign(RUN, invoke(2)) == []


def test_a_fan_out_behind_one_step_spreads() -> None:
    machine = homes(1, 1)
    armed = [machine.assign(RUN, arm(step, 1)) for step in range(2, 30)]
    assert 0 < sum(map(bool, armed)) < 20


def outline(*steps: tuple[int, tuple[int, ...]]) -> Outline:
    told = tuple(Outlined(step, StepId(f"quiet[{step}]"), f"quiet{step}", takes, True) for step, takes in steps)
    return Outline(("m:flow", "flow"), told)


JOIN = outline((1, ()), (2, ()), (3, (1, 2)))


def planned(policy: Placement, *capacities: int) -> HomesMachine:
    machine = HomesMachine(Planner(policy))
    for number, capacity in enumerate(capacities, 1):
        machine.joined(WorkerId(number), capacity)
    return machine


def test_a_join_is_armed_where_the_plan_has_all_of_it() -> None:
    machine = planned("planned", 4, 4)
    assert machine.assign(RUN, JOIN) == []
    assert [each.worker for each in machine.assign(RUN, arm(3, 1, 2))] == [1]
    assert steps_at(machine.assign(RUN, invoke(1, 2))) == {1: [1, 2]}
    machine.ended(ONE, RUN, ended(1))
    machine.ended(ONE, RUN, ended(2))
    assert machine.assign(RUN, invoke(3)) == [], "it has started by itself"


def test_the_next_run_goes_to_the_worker_with_less_to_do() -> None:
    machine = planned("planned", 4, 4)
    for run, home in ((RUN, 1), (RUN + 1, 2)):
        machine.assign(run, JOIN)
        assert list(steps_at(machine.assign(run, invoke(1, 2)))) == [home]


def test_a_step_is_not_armed_where_it_is_not_at_home() -> None:
    machine = planned("hash", 4, 4, 4)
    machine.assign(RUN, outline(*((step, ()) for step in range(1, 30)), (30, tuple(range(1, 30)))))
    assert machine.assign(RUN, arm(30, *range(1, 30))) == []


def test_the_hash_alone_decides() -> None:
    """With a plan or without, whoever has how much to do."""
    machine, other = planned("hash", 4, 1), planned("hash", 1, 4)
    machine.assign(RUN, outline(*((step, ()) for step in range(1, 20))))
    other.assign(RUN, invoke(90))
    assert steps_at(machine.assign(RUN, invoke(*range(1, 20)))) == steps_at(other.assign(RUN, invoke(*range(1, 20))))


def test_what_was_planned_for_a_worker_that_is_gone_goes_to_another() -> None:
    machine = planned("planned", 4, 4)
    machine.assign(RUN, JOIN)
    machine.assign(RUN, arm(3, 1, 2))
    machine.left(ONE, "it was killed", 5.0)
    assert steps_at(machine.assign(RUN, invoke(1, 2, 3))) == {2: [1, 2, 3]}


def test_what_steps_took_is_known_of_the_next_run() -> None:
    machine = planned("planned", 1, 1)
    fan = outline((1, ()), (2, (1,)), (3, (1,)))
    machine.assign(RUN, fan)
    for step, left_at in ((1, 0.001), (2, 9.0), (3, 9.0)):
        home = next(iter(steps_at(machine.assign(RUN, invoke(step)))))
        ran = Ran(1, 0.001, left_at)
        machine.ended(WorkerId(home), RUN, AttemptsEnded(1.0, (Outcome(step, 1, Inline(b"value"), None, ran),)))
    machine.run_closed(RUN)
    machine.assign(RUN + 1, fan)
    assert steps_at(machine.assign(RUN + 1, invoke(2, 3))) == {1: [2], 2: [3]}, "9 s each, on two places"
