"""Functions whose Attempts share a Sandbox, case by case: who goes where, and what becomes of neighbours."""

from __future__ import annotations

import pytest

from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Invoke, InvokeItems, Revoke
from weftrun.model.events import AttemptsEnded, ItemsEnded
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import Batch, Invocation, ItemBatch, Outcomes
from weftrun.model.outcomes import Outcome, Ran, Reason
from weftrun.model.policy import FunctionSpec, How, Reach, RetryPolicy, Sharing
from weftrun.model.values import Inline, Tree
from weftrun.model.work import InSlot, KillSandbox, Send, StartSandbox, Tell, TickAt, WorkerCommand

TREE = Tree(Inline(b"args"))
FIRST, SECOND = SandboxId(1), SandboxId(2)
IDLE = (0, -1, False, 0.0)


def shared(
    label: str, most: int, how: How = "threads", window_s: float | None = None, **policy: object
) -> FunctionSpec:
    reach = Reach(True, Sharing("drop", how, most, window_s))
    return FunctionSpec(f"m:{label}", label, reach=reach, **policy)  # type: ignore[arg-type]


QUIET = shared("quiet", 4, effects="none")
ONCE = shared("once", 4, retry=RetryPolicy(0))
TIMED = shared("timed", 4, effects="none", timeout_s=1.0)
LIST = shared("list", 4, "list", effects="none")
TICKED = shared("ticked", 1, "serial", 0.2, effects="none")
PLAIN = FunctionSpec("m:plain", "plain", effects="none")


class Desk:
    """A machine, and what it wanted."""

    def __init__(self, sandboxes_max: int = 2) -> None:
        self.machine = WorkerMachine(Limits(), sandboxes_max)
        self.machine.run_opened(1, (RunId("run-1"), RunUid("0" * 32)))
        self.now = 100.0

    def invoke(self, function: FunctionSpec, *steps: int) -> list[WorkerCommand]:
        invocations = tuple(Invocation(0, step, StepId(f"step-{step}"), 1, TREE) for step in steps)
        self.machine.work(self.now, 1, Invoke(function, invocations), 1)
        return self.then()

    def then(self) -> list[WorkerCommand]:
        self.machine.place(self.now)
        return [command for command in self.machine.take_commands() if not isinstance(command, TickAt)]

    def ready(self, sandbox: SandboxId) -> list[WorkerCommand]:
        self.machine.ready(self.now, sandbox)
        return self.then()

    def tells(self, sandbox: SandboxId, no: int, *indexes: int) -> list[WorkerCommand]:
        ran = Ran(sandbox, self.now, self.now)
        singles = next(given.singles for given in self.machine.state.boxes[sandbox].given if given.no == no)
        steps = {index: entry[1].step for index, entry in enumerate(singles) if entry is not None}
        outcomes = tuple(Outcome(steps[index], 1, Inline(b""), None, ran, index=index) for index in indexes)
        self.machine.spoke(self.now, sandbox, [Outcomes(no, outcomes)])
        return self.then()

    def tick(self, sandbox: SandboxId, *slots: InSlot) -> list[WorkerCommand]:
        pages = dict.fromkeys(self.machine.watched_sandboxes(), IDLE)
        self.machine.tick(self.now, pages, slots={sandbox: slots})
        return self.then()

    def ends(self, sandbox: SandboxId, *slots: InSlot) -> list[WorkerCommand]:
        self.machine.gone(self.now, sandbox, "exit code 3", IDLE, "", slots=slots)
        return self.then()


def sent(commands: list[WorkerCommand]) -> list[tuple[int, int, list[int]]]:
    """Return what was sent: the Sandbox, the Batch's number, the Steps."""
    batches = [(c.sandbox, c.message) for c in commands if isinstance(c, Send) and isinstance(c.message, Batch)]
    return [(sandbox, batch.no, [item.step for item in batch.items]) for sandbox, batch in batches]


def starts(commands: list[WorkerCommand]) -> list[int]:
    return [command.sandbox for command in commands if isinstance(command, StartSandbox)]


def told(commands: list[WorkerCommand]) -> list[Outcome]:
    events = [command.event for command in commands if isinstance(command, Tell)]
    return [one for event in events if isinstance(event, AttemptsEnded) for one in event.ended]


def failed(commands: list[WorkerCommand]) -> dict[int, Reason]:
    return {one.step: one.failure.reason for one in told(commands) if one.failure is not None}


def test_what_waits_goes_together_to_one_sandbox() -> None:
    desk = Desk()
    assert starts(desk.invoke(QUIET, 1, 2, 3)) == [FIRST]
    assert sent(desk.ready(FIRST)) == [(FIRST, 1, [1, 2, 3])]


def test_a_sandbox_gets_what_it_has_room_for_and_the_rest_another_one() -> None:
    desk = Desk()
    assert starts(desk.invoke(QUIET, *range(1, 7))) == [FIRST, SECOND]
    assert sent(desk.ready(FIRST)) == [(FIRST, 1, [1, 2, 3, 4])]
    assert sent(desk.tells(FIRST, 1, 2)) == [(FIRST, 2, [5])]  # no outcome of a neighbour is waited for
    assert sent(desk.ready(SECOND)) == [(SECOND, 3, [6])]
    assert sent(desk.tells(FIRST, 1, 0, 1)) == []
    assert sent(desk.invoke(QUIET, 7)) == [(FIRST, 4, [7])]  # the fullest that has room


def test_other_work_waits_until_a_shared_sandbox_is_free() -> None:
    desk = Desk(sandboxes_max=1)
    desk.invoke(QUIET, 1)
    desk.ready(FIRST)
    assert sent(desk.invoke(PLAIN, 2)) == []
    assert sent(desk.tells(FIRST, 1, 0)) == [(FIRST, 2, [2])]
    assert sent(desk.invoke(QUIET, 3)) == []


def test_the_idle_sandbox_that_was_used_last_is_taken_first() -> None:
    desk = Desk()
    desk.invoke(LIST, *range(1, 7))
    desk.ready(FIRST)
    assert sent(desk.ready(SECOND)) == [(SECOND, 2, [5, 6])]
    desk.now = 101.0
    desk.tells(FIRST, 1, 0, 1, 2, 3)
    desk.now = 102.0
    desk.tells(SECOND, 2, 0, 1)
    assert sent(desk.invoke(LIST, 7)) == [(SECOND, 3, [7])]


def test_a_call_of_a_handler_of_lists_is_not_joined() -> None:
    desk = Desk()
    desk.invoke(LIST, 1, 2)
    assert sent(desk.ready(FIRST)) == [(FIRST, 1, [1, 2])]
    assert sent(desk.invoke(LIST, 3)) == []
    assert sent(desk.tells(FIRST, 1, 0, 1)) == [(FIRST, 2, [3])]


def test_a_window_gathers_until_its_tick_ends() -> None:
    desk = Desk()
    desk.now = 100.05
    assert desk.invoke(TICKED, 1) == []
    desk.now = 100.15
    assert desk.invoke(TICKED, 2) == []
    desk.now = 100.2
    assert starts(desk.tick(FIRST)) == [FIRST]
    assert sent(desk.ready(FIRST)) == [(FIRST, 1, [1, 2])]
    desk.now = 100.25
    assert desk.invoke(TICKED, 3) == []
    desk.now = 100.401
    assert starts(desk.tick(FIRST)) == [SECOND], "a Batch of a later tick has a Sandbox of its own"


@pytest.mark.parametrize("sandboxes_max", [1, 2])
def test_somebody_looks_when_a_window_ends(sandboxes_max: int) -> None:
    desk = Desk(sandboxes_max)
    desk.now = 100.05
    invocation = Invocation(0, 1, StepId("step-1"), 1, TREE)
    desk.machine.work(desk.now, 1, Invoke(TICKED, (invocation,)), 1)
    ticks = [command.at for command in desk.machine.take_commands() if isinstance(command, TickAt)]
    assert ticks == [pytest.approx(100.2)]


def test_what_was_entered_at_once_has_failed_with_its_sandbox_and_nothing_else() -> None:
    desk = Desk(sandboxes_max=1)
    desk.invoke(QUIET, 1, 2, 3, 4)
    desk.ready(FIRST)
    commands = desk.ends(FIRST, InSlot(1, 3, 100.0), InSlot(1, 1, 100.0, "words\n"))
    assert failed(commands) == {2: Reason.LOST, 4: Reason.LOST}
    assert {one.step: one.text for one in told(commands)} == {2: "words\n", 4: ""}
    assert sent(desk.ready(SECOND)) == [(SECOND, 2, [1, 3])], "index 0 and 2 were not entered, whatever was after them"


def test_what_was_not_entered_is_entered_later_in_spite_of_retries_0() -> None:
    desk = Desk(sandboxes_max=1)
    desk.invoke(ONCE, 1, 2, 3)
    desk.ready(FIRST)
    assert failed(desk.ends(FIRST, InSlot(1, 2, 100.0))) == {3: Reason.LOST}
    assert sent(desk.ready(SECOND)) == [(SECOND, 2, [1, 2])]


def test_neighbours_of_one_that_ran_too_long_run_again_as_the_same_attempt() -> None:
    desk = Desk(sandboxes_max=1)
    desk.invoke(TIMED, 1, 2, 3)
    desk.ready(FIRST)
    slots = InSlot(1, 0, 100.0), InSlot(1, 1, 100.4), InSlot(1, 2, 100.0)
    desk.now = 100.9
    assert KillSandbox(FIRST) not in desk.tick(FIRST, *slots)
    desk.now = 101.1
    assert KillSandbox(FIRST) in desk.tick(FIRST, *slots)
    commands = desk.ends(FIRST, *slots)
    assert failed(commands) == {1: Reason.TIMEOUT, 3: Reason.TIMEOUT}
    assert sent(desk.ready(SECOND)) == [(SECOND, 2, [2])]


def test_what_is_cancelled_ends_no_neighbour() -> None:
    desk = Desk(sandboxes_max=1)
    desk.invoke(QUIET, 1, 2)
    desk.ready(FIRST)
    desk.machine.work(desk.now, 1, Revoke((1,)), 1)
    slots = InSlot(1, 0, 100.0), InSlot(1, 1, 100.0)
    desk.now = 101.0
    assert desk.tick(FIRST, *slots) == []
    desk.tells(FIRST, 1, 1)
    desk.now = 102.0
    assert desk.tick(FIRST, slots[0]) == [KillSandbox(FIRST)]
    assert failed(desk.ends(FIRST, slots[0])) == {1: Reason.CANCELLED}


def test_items_of_a_map_are_in_slots_too() -> None:
    desk = Desk(sandboxes_max=1)
    desk.machine.work(100.0, 1, InvokeItems(QUIET, 1, 9, StepId("map"), 1, TREE, TREE, 0, ((0, 6),)), 1)
    desk.then()
    (send,) = desk.ready(FIRST)
    assert isinstance(send, Send) and isinstance(send.message, ItemBatch) and send.message.ranges == ((0, 4),)
    commands = desk.ends(FIRST, InSlot(1, 2, 100.0))
    events = [command.event for command in commands if isinstance(command, Tell)]
    assert [[index for index, _ in event.failures] for event in events if isinstance(event, ItemsEnded)] == [[2]]
    sent_again = [send.message for send in desk.ready(SECOND) if isinstance(send, Send)]
    assert [m.ranges for m in sent_again if isinstance(m, ItemBatch)] == [((0, 2), (3, 4)), ((4, 5),)]
