"""Which Worker gets what, what of it starts by itself, and what becomes of it when a Worker is gone."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from weftrun.machines.homes import Assigned, HomesMachine
from weftrun.machines.placement import Planner
from weftrun.model.commands import Arm, Armed, Feed, Invoke, InvokeItems, LeaveBody, Outline, Outlined, Revoke, Taken
from weftrun.model.events import AttemptsEnded, Disarmed, ItemsEnded
from weftrun.model.hosts import ENGINE, KnownBatches
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Ran, Reason
from weftrun.model.placement import Placement
from weftrun.model.policy import FunctionSpec, RetryPolicy
from weftrun.model.values import Inline, Tree
from weftrun.model.work import BatchHolds, WorkEvent

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


def single(*steps: int) -> BatchHolds:
    """What is in a Batch of first Attempts."""
    return BatchHolds(tuple((RUN, step, 1, 0) for step in steps))


def some_items(*ranges: tuple[int, int]) -> BatchHolds:
    return BatchHolds((), (RUN, 3, 1), ranges)


def lost_of(events: list[tuple[int, WorkEvent]]) -> tuple[list[int], list[int]]:
    """Return the Steps and the items that have failed as lost."""
    steps, lost_items = [], []
    for _, event in events:
        if isinstance(event, AttemptsEnded):
            steps += [ended.step for ended in event.ended]
        elif isinstance(event, ItemsEnded):
            lost_items += [index for index, _ in event.failures]
    return steps, lost_items


def test_what_a_sandbox_had_is_lost_with_its_worker_and_all_else_goes_to_another() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, invoke(*range(10, 18)))
    machine.assign(RUN, items((0, 8)))
    machine.ended(ONE, RUN, ItemsEnded(1.0, 3, 1, ((0, 1, Inline(b"")),), (), NOT_RUN))
    machine.handed(ONE, single(10, 12))
    machine.handed(ONE, some_items((1, 3)))
    assigned, events = machine.left(ONE, "it was killed", 5.0, KnownBatches.ALL)
    assert lost_of(events) == ([10, 12], [1, 2])
    assert [(each.worker, each.command) for each in assigned] == [(2, invoke(14, 16)), (2, items((3, 4)))]
    lost = events[1][1]
    assert isinstance(lost, ItemsEnded) and lost.failures[0][1].reason is Reason.LOST
    assert lost.failures[0][1].message == "Worker 1 is gone: it was killed"
    machine.handed(TWO, single(14))
    left = machine.left(TWO, "it was killed", 6.0, KnownBatches.ALL)
    assert (lost_of(left.events), left.assigned) == (([14], []), []), "the rest waits for a Worker"
    given = machine.joined(WorkerId(3), 1)
    assert [each.command for each in given[:2]] == [invoke(11, 13, 15, 17, 16), items((4, 8))]
    assert machine.left(TWO, "it was killed", 6.0, KnownBatches.ALL).events == []


def test_what_a_sandbox_had_on_a_worker_that_is_gone_is_not_lost_with_the_next_one() -> None:
    machine = homes(1)
    machine.assign(RUN, invoke(1))
    machine.handed(ONE, single(1))
    machine.ended(ONE, RUN, ended(1, failure=Failure(Reason.RAISED, "ValueError", "no")))
    machine.assign(RUN, invoke(1, attempt=2))
    machine.joined(TWO, 1)
    left = machine.left(ONE, "it was killed", 5.0, KnownBatches.ALL)
    assert (left.events, steps_at(left.assigned)) == ([], {2: [1]})


def test_what_started_by_itself_is_lost_though_it_was_invoked_later() -> None:
    machine = homes(1, 1)
    machine.assign(RUN, arm(2, 1))
    machine.assign(RUN, invoke(1))
    machine.handed(ONE, single(1))
    machine.handed(ONE, single(2))
    machine.ended(ONE, RUN, ended(1))
    assert machine.assign(RUN, invoke(2)) == []
    assert lost_of(machine.left(ONE, "it was killed", 5.0, KnownBatches.ALL).events) == ([2], [])


NEVER_TWICE = FunctionSpec("m:pay", "pay", effects="visible", retry=RetryPolicy(times=0, delay_s=0.0))


def dying_workers(function: FunctionSpec, known: KnownBatches) -> int:
    """Return how many Workers may die with a Step of which they told nothing until it has failed; 9 for no end."""
    machine = homes(1)
    machine.assign(RUN, Invoke(function, (invocation(1),)))
    machine.assign(RUN, replace(items((0, 2)), function=function))
    for number in range(1, 10):
        machine.joined(WorkerId(number + 1), 1)
        steps, lost_items = lost_of(machine.left(WorkerId(number), "it was cut off", 5.0, known).events)
        assert (steps == [1]) == (lost_items == [0, 1])
        if steps:
            return number
    return 9


@pytest.mark.parametrize(
    ("function", "known", "dies"),
    [
        (QUIET, KnownBatches.ALL, 9),
        (NEVER_TWICE, KnownBatches.ALL, 9),
        (QUIET, KnownBatches.ASKED, 4),
        (NEVER_TWICE, KnownBatches.ASKED, 9),
        (QUIET, KnownBatches.NOTHING, 4),
        (NEVER_TWICE, KnownBatches.NOTHING, 1),
    ],
)
def test_what_may_have_been_entered_goes_on_only_where_that_may_be_repeated(
    function: FunctionSpec, known: KnownBatches, dies: int
) -> None:
    assert dying_workers(function, known) == dies


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


def crossing(*met: tuple[WorkerId, WorkerId]) -> tuple[HomesMachine, dict[int, WorkerId]]:
    """Return a machine with a join of two Steps, whose homes, which are told, are two Workers."""
    machine = planned("hash", 4, 4)
    for pair in met:
        machine.met(*pair)
    after = ((step, (20,)) for step in range(21, 40))
    machine.assign(RUN, outline(*((step, ()) for step in range(1, 20)), (20, tuple(range(1, 20))), *after))
    homes = machine._runs[RUN].planned
    there = next(step for step in range(1, 20) if homes[step] != homes[20])
    here = next(step for step in range(1, 20) if homes[step] == homes[20])
    return machine, {there: homes[there], here: homes[here], 20: homes[20]}


def test_workers_that_have_met_hand_one_another_what_armed_steps_take() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    feed, armed = machine.assign(RUN, arm(join, there, here))
    assert feed == Assigned(homes[there], RUN, Feed(((there, homes[join]),)))
    assert armed.worker == homes[join]
    assert isinstance(armed.command, Arm)
    assert [taken.source for taken in armed.command.armed[0].takes] == [homes[there], ENGINE]
    machine.assign(RUN, invoke(there, here))
    machine.ended(homes[there], RUN, ended(there))
    machine.ended(homes[here], RUN, ended(here))
    assert machine.assign(RUN, invoke(join)) == [], "it has started by itself"
    assert machine.overdue() == []
    assert steps_at(machine.overdue()) == {homes[join]: [join]}, "what it takes may have been lost on the way"
    assert machine.overdue() == []


def test_an_outcome_is_told_behind_what_has_set_it_off() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    machine.assign(RUN, arm(join, there, here))
    machine.assign(RUN, invoke(there, here))
    assert machine.ended(homes[here], RUN, ended(here)) == ended(here)
    assert machine.ended(homes[join], RUN, ended(join)) is None
    assert machine.due(RUN) is None
    assert machine.ended(homes[there], RUN, ended(there)) == ended(there)
    assert machine.due(RUN) is None, "its Run has not said yet that it is wanted"
    assert machine.assign(RUN, invoke(join)) == []
    assert machine.due(RUN) == ended(join)
    assert machine.due(RUN) is None
    assert machine.run_closed(RUN) == set()


def test_an_outcome_that_was_told_stands_though_its_worker_is_gone_before_it_is_wanted() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    machine.assign(RUN, arm(join, there, here))
    machine.assign(RUN, invoke(there, here))
    machine.ended(homes[here], RUN, ended(here))
    assert machine.ended(homes[join], RUN, ended(join)) is None
    assert machine.left(homes[join], "it was killed", 5.0, KnownBatches.ALL) == ([], [])
    machine.ended(homes[there], RUN, ended(there))
    assert machine.assign(RUN, invoke(join)) == [], "nobody runs it again"
    assert machine.due(RUN) == ended(join)
    assert machine.left(homes[there], "it was killed", 6.0, KnownBatches.ALL) == ([], []), "nobody has it any more"


def test_what_may_have_begun_on_a_lost_value_is_taken_back() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    after = next(step for step in range(21, 40) if machine._runs[RUN].planned[step] == homes[join])
    machine.assign(RUN, arm(join, there, here))
    machine.assign(RUN, arm(after, join))
    machine.assign(RUN, invoke(there, here))
    machine.ended(homes[join], RUN, ended(join))
    left = machine.left(homes[there], "it was killed", 5.0, KnownBatches.ALL)
    revoked = [each.command for each in left.assigned]
    assert sorted(step for command in revoked if isinstance(command, Revoke) for step in command.steps) == [
        join, after,
    ]  # fmt: skip
    assert {each.worker for each in left.assigned} == {homes[join]}
    disarmed = left.events[0][1]
    assert isinstance(disarmed, Disarmed) and sorted(disarmed.steps) == [join, after]
    assert machine.due(RUN) == ended(join), "for its Run to pass it by"


def test_what_a_worker_has_told_of_stands_and_is_sent_to_its_readers() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    machine.assign(RUN, arm(join, there, here))
    machine.assign(RUN, invoke(there, here))
    machine.ended(homes[there], RUN, ended(there))
    assert machine.left(homes[there], "it was killed", 5.0, KnownBatches.ALL) == ([], [])
    machine.ended(homes[here], RUN, ended(here))
    assert steps_at(machine.assign(RUN, invoke(join))) == {homes[join]: [join]}


def test_what_was_kept_back_of_a_run_that_is_over_is_given_up() -> None:
    machine, homes = crossing((ONE, TWO))
    there, here, join = homes
    machine.assign(RUN, arm(join, there, here))
    machine.ended(homes[join], RUN, ended(join))
    assert machine.untold(RUN) == [ended(join)]
    assert machine.untold(RUN) == []


def test_workers_that_have_not_met_hand_one_another_nothing() -> None:
    machine, homes = crossing()
    there, here, join = homes
    assert machine.assign(RUN, arm(join, there, here)) == []


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
    machine.handed(ONE, single(1))
    machine.left(ONE, "it was killed", 5.0, KnownBatches.ALL)
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
    machine.left(ONE, "it was killed", 5.0, KnownBatches.ALL)
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
