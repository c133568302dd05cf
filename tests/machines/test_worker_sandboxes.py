"""Sandboxes, case by case: how many there are, what becomes of those that don't start, and where bodies live."""

from __future__ import annotations

from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Deliver, EnterBody, Invoke, InvokeItems, LeaveBody, Revoke
from weftrun.model.events import AttemptsEnded, BodyLost, BodyReturned, ItemsEnded
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyDeliver, BodyDrop, BodyEnded, BodyStart, Invocation
from weftrun.model.outcomes import NOT_RUN, Failure, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Inline, Payload, Tree
from weftrun.model.work import NOBODY, KillSandbox, Send, StartSandbox, Tell, TickAt, WorkerCommand

LIMITS = Limits()
QUIET = FunctionSpec("m:quiet", "quiet", effects="none")
ALONE = FunctionSpec("m:alone", "alone", effects="none", reach=False)
FLOW = FunctionSpec("m:flow", "flow", Kind.WATCHING)
TREE = Tree(Inline(b"args"))
NEVER = (0, -1, False, 0.0)
FIRST, SECOND, THIRD = SandboxId(1), SandboxId(2), SandboxId(3)


def machine_of(sandboxes_max: int) -> WorkerMachine:
    machine = WorkerMachine(LIMITS, sandboxes_max)
    machine.run_opened(1, (RunId("run-1"), RunUid("0" * 32)))
    return machine


def invoke(machine: WorkerMachine, function: FunctionSpec, *steps: int) -> None:
    invocations = tuple(Invocation(0, step, StepId(f"step-{step}"), 1, TREE) for step in steps)
    machine.work(100.0, 1, Invoke(function, invocations), 1 if function.network else 2)


def enter(machine: WorkerMachine, step: int) -> None:
    command = EnterBody(step, StepId(f"flow-{step}"), 1, FLOW, TREE, 100.0)
    machine.work(100.0, 1, command, 1)


def then(machine: WorkerMachine, now: float = 100.0) -> list[WorkerCommand]:
    machine.place(now)
    return machine.take_commands()


def work_of(commands: list[WorkerCommand]) -> list[WorkerCommand]:
    return [command for command in commands if not isinstance(command, TickAt)]


# ---------------------------------------------------------------------- the pool


def test_no_more_sandboxes_than_work_and_no_more_than_the_pool() -> None:
    machine = machine_of(3)
    invoke(machine, QUIET, 1, 2)
    assert work_of(then(machine)) == [StartSandbox(FIRST, 1), StartSandbox(SECOND, 1, "busy")]
    invoke(machine, QUIET, 3, 4, 5, 6)
    assert work_of(then(machine)) == [StartSandbox(THIRD, 1, "busy")]
    assert work_of(then(machine)) == []


def test_a_busy_sandbox_of_another_profile_makes_no_room() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    then(machine)
    machine.ready(100.0, FIRST)
    then(machine)
    invoke(machine, ALONE, 2)
    assert work_of(then(machine)) == []
    machine.gone(100.0, FIRST, "exit code 1", (1, 0, True, 100.0), "")
    assert StartSandbox(SECOND, 2) in then(machine)


def test_room_is_made_by_ending_what_is_idle() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    then(machine)
    machine.work(100.0, 1, Revoke((1,)), 1)
    machine.ready(100.0, FIRST)
    invoke(machine, ALONE, 2)
    assert work_of(then(machine)) == [KillSandbox(FIRST), StartSandbox(SECOND, 2)]
    assert work_of(then(machine)) == []


def test_an_idle_sandbox_is_ended_after_its_time() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    then(machine)
    machine.work(100.0, 1, Revoke((1,)), 1)
    machine.ready(100.0, FIRST)
    machine.tick(159.0, {})
    assert then(machine, 159.0) == [TickAt(160.0)]
    machine.tick(160.0, {})
    assert KillSandbox(FIRST) in then(machine, 160.0)


# ---------------------------------------------------------------------- Sandboxes that don't start


def test_what_waits_fails_after_three_sandboxes_that_did_not_start() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1, 2)
    items = InvokeItems(QUIET, 1, 3, StepId("step-3"), 1, TREE, TREE, 0, ((0, 2), (5, 6)))
    machine.work(100.0, 1, items, 1)
    enter(machine, 4)
    for _ in range(3):
        boxes = [c.sandbox for c in then(machine) if isinstance(c, StartSandbox)]
        machine.gone(100.0, boxes[-1], "its code could not be imported: no module app", NEVER, "")
    told = work_of(machine.take_commands())
    failed: list[int] = []
    for command in told:
        assert isinstance(command, Tell)
        event = command.event
        if isinstance(event, AttemptsEnded):
            failed += [
                ended.step for ended in event.ended if ended.failure and ended.failure.reason is Reason.UNLOADABLE
            ]
        elif isinstance(event, ItemsEnded):
            failed += [index for index, failure in event.failures if failure.reason is Reason.UNLOADABLE]
        elif isinstance(event, BodyReturned):
            assert event.failure is not None
            assert event.failure.message == "no Sandbox can be made: its code could not be imported: no module app"
            failed.append(event.step)
    assert sorted(failed) == [0, 1, 1, 2, 4, 5]


def test_a_start_that_succeeds_forgives_those_that_did_not() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    for box in (1, 2):
        then(machine)
        machine.gone(100.0, SandboxId(box), "exit code 1", NEVER, "")
    then(machine)
    machine.ready(100.0, THIRD)
    then(machine)
    machine.gone(100.0, THIRD, "signal 9 (SIGKILL)", (1, -1, False, 0.0), "")
    then(machine)
    machine.gone(100.0, SandboxId(4), "exit code 1", NEVER, "")
    assert work_of(then(machine)) == [StartSandbox(SandboxId(5), 1, "lost")]


def test_a_sandbox_that_is_late_gets_nothing_and_counts_as_not_started() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    for box in (1, 2, 3):
        then(machine, 100.0 * box)
        machine.tick(100.0 * box, {})  # as it was asked for, for the one before
        then(machine, 100.0 * box)
        machine.tick(100.0 * box + 59.0, {})
        assert KillSandbox(SandboxId(box)) not in then(machine, 100.0 * box + 59.0)
        machine.tick(100.0 * box + 60.0, {})
        machine.ready(100.0 * box + 60.0, SandboxId(box))
        assert work_of(then(machine, 100.0 * box + 60.0)) == [KillSandbox(SandboxId(box))]
        machine.gone(100.0 * box + 61.0, SandboxId(box), "killed by us", NEVER, "")
    (tell,) = work_of(machine.take_commands())
    assert isinstance(tell, Tell)
    assert isinstance(tell.event, AttemptsEnded)
    failure = tell.event.ended[0].failure
    assert failure is not None
    assert failure.message == (
        "no Sandbox can be made: it did not start within sandbox_start_s=60: "
        "does the import of its module come to an end?"
    )


def test_a_sandbox_is_not_late_because_its_engine_stood_still() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1)
    then(machine, 100.0)
    machine.tick(1_000.0, {})
    assert KillSandbox(FIRST) not in then(machine, 1_000.0)
    machine.tick(1_000.0 + 59.0, {})
    assert KillSandbox(FIRST) not in then(machine, 1_059.0)
    machine.tick(1_000.0 + 60.0, {})
    assert KillSandbox(FIRST) in then(machine, 1_060.0)


# ---------------------------------------------------------------------- bodies


def test_bodies_share_a_sandbox_and_a_second_one_is_made_while_it_is_in_a_turn() -> None:
    machine = machine_of(2)
    enter(machine, 1)
    enter(machine, 2)
    assert work_of(then(machine)) == [StartSandbox(FIRST, 1)]
    machine.ready(100.0, FIRST)
    sent = [c.message.body for c in then(machine) if isinstance(c, Send) and isinstance(c.message, BodyStart)]
    assert sent == [1, 2]
    enter(machine, 3)
    assert StartSandbox(SECOND, 1, "busy") in then(machine)
    machine.ready(100.0, SECOND)
    enter(machine, 4)
    (send,) = work_of(then(machine))
    assert isinstance(send, Send)
    assert send.sandbox == SECOND, "the one with the fewest open turns"


def test_outcomes_for_bodies_that_are_gone_are_passed_by() -> None:
    machine = machine_of(1)
    deliver = Deliver(1, 1, 0, TREE, None, 100.0)
    machine.work(100.0, 1, deliver, 1)
    machine.work(100.0, 1, LeaveBody(1, 1), 1)
    assert then(machine) == []
    enter(machine, 1)
    then(machine)
    machine.ready(100.0, FIRST)
    then(machine)
    machine.work(100.0, 1, Deliver(1, 1, 0, TREE, None, 100.0), 1)
    machine.work(100.0, 1, Deliver(1, 2, 0, TREE, None, 100.0), 1)
    assert [c.message for c in then(machine) if isinstance(c, Send)] == [BodyDeliver(1, 0, TREE, None, 100.0)]
    machine.gone(100.0, FIRST, "exit code 1", NEVER, "")
    (lost,) = work_of(then(machine))
    assert isinstance(lost, Tell)
    assert isinstance(lost.event, BodyLost)
    assert lost.event.failure.message == "the Sandbox that held the body of flow-1 ended: exit code 1"


def test_bodies_wait_while_nothing_may_be_entered() -> None:
    machine = machine_of(1)
    enter(machine, 1)
    machine.bar()
    machine.ready(100.0, FIRST)
    enter(machine, 2)
    assert [c for c in machine.take_commands() if isinstance(c, Send)] == []
    assert [c.message.id for c in then(machine) if isinstance(c, Send)] == ["flow-1", "flow-2"]
    machine.bar()
    enter(machine, 3)
    machine.gone(100.0, FIRST, "exit code 1", NEVER, "")
    assert [c for c in machine.take_commands() if isinstance(c, Send | StartSandbox)] == []
    assert work_of(then(machine)) == [StartSandbox(SECOND, 1)]
    machine.ready(100.0, SECOND)
    assert [c.message.id for c in then(machine) if isinstance(c, Send)] == ["flow-3"]


def test_what_a_left_body_says_is_told_to_nobody() -> None:
    machine = machine_of(1)
    enter(machine, 1)
    then(machine)
    machine.ready(100.0, FIRST)
    then(machine)
    machine.work(100.0, 1, LeaveBody(1, 1), 1)
    assert Send(FIRST, BodyDrop(1)) in then(machine)
    assert not machine.quiet
    machine.spoke(100.0, FIRST, [BodyEnded(1, Payload(Inline(b"answer")), None, NOT_RUN)])
    assert work_of(then(machine)) == [
        Tell(NOBODY, BodyReturned(100.0, 0, 0, Payload(Inline(b"answer")), None, NOT_RUN))
    ]
    assert machine.quiet


def test_bodies_left_before_their_sandbox_was_ready_are_not_sent() -> None:
    machine = machine_of(1)
    enter(machine, 1)
    enter(machine, 2)
    then(machine)
    machine.work(100.0, 1, LeaveBody(1, 1), 1)
    machine.ready(100.0, FIRST)
    sent = [c.message.id for c in then(machine) if isinstance(c, Send) and isinstance(c.message, BodyStart)]
    assert sent == ["flow-2"]


def test_bodies_left_before_their_sandbox_failed_are_not_told() -> None:
    machine = machine_of(1)
    enter(machine, 1)
    machine.work(100.0, 1, LeaveBody(1, 1), 1)
    for box in (1, 2, 3):
        then(machine)
        machine.gone(100.0, SandboxId(box), "exit code 1", NEVER, "")
    assert work_of(then(machine)) == []


# ---------------------------------------------------------------------- Runs that are given up


def test_nothing_is_left_of_a_run_that_is_given_up() -> None:
    machine = machine_of(1)
    invoke(machine, QUIET, 1, 2)
    items = InvokeItems(QUIET, 1, 3, StepId("step-3"), 1, TREE, TREE, 0, ((0, 2),))
    machine.work(100.0, 1, items, 1)
    enter(machine, 4)
    then(machine)
    machine.ready(100.0, FIRST)
    machine.ready(100.0, SECOND)
    then(machine)
    machine.run_left(100.0, 1)
    assert [c.message for c in then(machine) if isinstance(c, Send)] == [BodyDrop(1)]
    machine.tick(100.05, {SECOND: (1, 0, True, 100.0)})
    assert KillSandbox(SECOND) in then(machine, 100.05)
    machine.gone(100.1, SECOND, "killed by us", (1, 0, True, 100.0), "")
    (tell,) = work_of(then(machine, 100.1))
    assert isinstance(tell, Tell)
    assert isinstance(tell.event, AttemptsEnded)
    assert isinstance(tell.event.ended[0].failure, Failure)
    assert tell.event.ended[0].failure.reason is Reason.CANCELLED
