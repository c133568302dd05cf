"""Batches, case by case: what becomes of them when Sandboxes speak, die, run too long or hold what nobody wants."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from weftrun.machines.worker import WorkerMachine
from weftrun.model.commands import Invoke, InvokeItems, Revoke
from weftrun.model.events import AttemptsEnded, ItemsEnded
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import Batch, Dropped, Invocation, ItemBatch, ItemOutcomes, Outcomes
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.policy import FunctionSpec, RetryPolicy
from weftrun.model.values import Inline, Tree
from weftrun.model.work import KillSandbox, Said, Send, StartSandbox, Tell, TickAt, WorkerCommand

QUIET = FunctionSpec("m:quiet", "quiet", effects="none")
TIMED = FunctionSpec("m:timed", "timed", effects="none", timeout_s=1.0)
ONCE = FunctionSpec("m:once", "once", retry=RetryPolicy(0))
TREE = Tree(Inline(b"args"))
VALUE = Inline(b"value")
BOX = SandboxId(1)
FAST = Ran(1, 100.0, 100.00001)


class Desk:
    """A machine with one Run, and the commands it gave."""

    def __init__(self, sandboxes_max: int = 1) -> None:
        self.machine = WorkerMachine(Limits(), sandboxes_max)
        for run in (1, 2):
            self.machine.run_opened(run, (RunId(f"run-{run}"), RunUid("0" * 32)))

    def invoke(self, function: FunctionSpec, *steps: int, run: int = 1) -> None:
        invocations = tuple(Invocation(0, step, StepId(f"step-{step}"), 1, TREE) for step in steps)
        self.machine.work(100.0, run, Invoke(function, invocations), 1)

    def invoke_items(self, function: FunctionSpec, step: int, *ranges: tuple[int, int]) -> None:
        command = InvokeItems(function, 1, step, StepId(f"step-{step}"), 1, TREE, TREE, 0, ranges)
        self.machine.work(100.0, 1, command, 1)

    def then(self, now: float = 100.0) -> list[WorkerCommand]:
        self.machine.place(now)
        return self.machine.take_commands()

    def warm_up(self, function: FunctionSpec) -> None:
        """Let the machine learn that a Function is short, so that Batches hold more than one body."""
        self.invoke(function, 900)
        found = self.batches()
        self.machine.ready(100.0, BOX)
        (batch,) = found + self.batches()
        self.tell(batch.no, came(900, 0))
        self.then()

    def batches(self, now: float = 100.0) -> list[Batch]:
        return [c.message for c in self.then(now) if isinstance(c, Send) and isinstance(c.message, Batch)]

    def tell(self, no: int, *outcomes: Outcome) -> None:
        self.machine.spoke(100.0, BOX, [Outcomes(no, outcomes)])

    def die(self, page: tuple[int, int, bool, float], now: float = 100.0, text: str = "") -> None:
        self.machine.gone(now, BOX, "signal 9 (SIGKILL)", page, text)


def came(step: int, index: int) -> Outcome:
    return Outcome(step, 1, VALUE, None, FAST, index=index)


def failures(commands: list[WorkerCommand]) -> dict[int, Reason]:
    """Return what Runs were told of failed Attempts, by Step (or item)."""
    found: dict[int, Reason] = {}
    for command in commands:
        if isinstance(command, Tell) and isinstance(command.event, AttemptsEnded):
            found.update({e.step: e.failure.reason for e in command.event.ended if e.failure})
        elif isinstance(command, Tell) and isinstance(command.event, ItemsEnded):
            found.update({index: failure.reason for index, failure in command.event.failures})
    return found


def steps_of(batch: Batch) -> list[int]:
    return [invocation.step for invocation in batch.items]


# ---------------------------------------------------------------------- what Sandboxes say


def test_outcomes_of_one_batch_come_in_any_order_and_are_told_once() -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.invoke(QUIET, 1, 2, 3)
    (batch,) = desk.batches()
    assert steps_of(batch) == [1, 2, 3]
    desk.tell(batch.no, came(3, 2), came(1, 0))
    desk.tell(batch.no, came(3, 2), came(2, 1))
    told = [c.event for c in desk.then() if isinstance(c, Tell)]
    assert [[ended.step for ended in event.ended] for event in told if isinstance(event, AttemptsEnded)] == [
        [3, 1],
        [2],
    ]
    assert desk.machine.quiet


def test_messages_about_nothing_are_passed_by() -> None:
    desk = Desk()
    desk.invoke(QUIET, 1)
    desk.then()
    desk.machine.spoke(100.0, SandboxId(7), [Outcomes(1, ())])
    desk.machine.ready(100.0, SandboxId(7))
    desk.machine.ready(100.0, BOX)
    (batch,) = desk.batches()
    desk.tell(batch.no + 1, came(1, 0))
    item_outcomes = ItemOutcomes(batch.no + 1, ((0, 1, VALUE),), (), FAST)
    desk.machine.spoke(100.0, BOX, [Dropped(()), Outcomes(batch.no, ()), item_outcomes])
    desk.machine.gone(100.0, SandboxId(7), "exit code 1", (0, -1, False, 0.0), "")
    assert desk.then() == []
    assert not desk.machine.quiet


@pytest.mark.parametrize(
    "message",
    [
        Outcomes(2, (came(1, 3),)),
        Outcomes(2, (came(3, -1),)),
        Outcomes(2, (came(2, 0),)),
        Outcomes(2, (replace(came(1, 0), attempt=2),)),
        Outcomes(2, (replace(came(1, 0), undoes=1),)),
        ItemOutcomes(2, ((0, 1, VALUE),), (), FAST),
    ],
)
def test_a_sandbox_that_tells_of_what_it_was_not_given_is_ended(message: Outcomes | ItemOutcomes) -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.invoke(QUIET, 1, 2, 3)
    assert [batch.no for batch in desk.batches()] == [2]
    desk.machine.spoke(100.0, BOX, [message])
    assert desk.then() == [KillSandbox(BOX)]


@pytest.mark.parametrize(("lo", "hi"), [(1, 2), (0, 31), (30, 31), (5, 5), (7, 6)])
def test_a_sandbox_that_tells_of_other_items_is_ended(lo: int, hi: int) -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.invoke_items(QUIET, 5, (0, 1), (2, 30))
    desk.then()
    desk.machine.spoke(100.0, BOX, [ItemOutcomes(2, ((lo, hi, VALUE),), (), FAST)])
    assert desk.then() == [KillSandbox(BOX)]


def test_items_are_told_in_ranges_and_only_the_rest_goes_back() -> None:
    desk = Desk()
    desk.invoke_items(QUIET, 5, (0, 1), (2, 30))
    desk.then()
    desk.machine.ready(100.0, BOX)
    desk.then()
    desk.machine.spoke(100.0, BOX, [ItemOutcomes(1, ((0, 1, VALUE),), (), FAST)])
    send, *_ = [c.message for c in desk.then() if isinstance(c, Send)]
    assert isinstance(send, ItemBatch)
    lo, hi = send.ranges[0][0], send.ranges[-1][1]
    assert hi - lo > 4
    middle = ItemOutcomes(
        send.no, ((lo + 1, lo + 2, VALUE),), ((lo + 3, Failure(Reason.RAISED, "E", "no")),), FAST, "said"
    )
    desk.machine.spoke(100.0, BOX, [middle])
    desk.die((send.no, lo + 2, True, 100.0), text="printed")
    commands = desk.then()
    assert failures(commands) == {lo + 3: Reason.RAISED, lo + 2: Reason.LOST}
    assert [c.text for c in commands if isinstance(c, Said)] == ["said", "printed"]
    desk.machine.ready(100.0, SandboxId(2))
    again = [c.message for c in desk.then() if isinstance(c, Send)]
    assert isinstance(again[0], ItemBatch)
    assert again[0].ranges[:2] == ((lo, lo + 1), (lo + 4, hi))
    assert again[0].attempt == send.attempt


# ---------------------------------------------------------------------- what is ended


def test_a_timeout_ends_what_runs_and_nothing_else() -> None:
    desk = Desk()
    desk.warm_up(TIMED)
    desk.invoke(TIMED, 1, 2, 3)
    (batch,) = desk.batches()
    assert desk.machine.watched_sandboxes() == [BOX]
    page = (batch.no, 1, True, 100.0)
    desk.machine.tick(100.9, {BOX: page})
    assert not any(isinstance(c, KillSandbox) for c in desk.then(100.9))
    desk.machine.tick(101.0, {BOX: page})
    assert KillSandbox(BOX) in desk.then(101.0)
    desk.die(page, 101.0)
    assert failures(desk.then(101.0)) == {2: Reason.TIMEOUT}
    desk.machine.ready(101.0, SandboxId(2))
    assert [steps_of(batch) for batch in desk.batches(101.0)] == [[1, 3]]


def test_a_body_entered_while_its_neighbour_was_ended_runs_again_under_the_same_attempt() -> None:
    desk = Desk()
    desk.warm_up(TIMED)
    desk.invoke(TIMED, 1, 2)
    (batch,) = desk.batches()
    desk.machine.tick(101.0, {BOX: (batch.no, 0, True, 100.0)})
    desk.tell(batch.no, replace(came(1, 0), ran=Ran(1, 100.0, 101.0)))
    desk.die((batch.no, 1, True, 101.0), 101.0)
    assert failures(desk.then(101.0)) == {}
    desk.machine.ready(101.0, SandboxId(2))
    assert [(i.step, i.attempt) for batch in desk.batches(101.0) for i in batch.items] == [(2, 1)]


def test_what_runs_in_front_of_a_revoked_step_is_not_ended_for_it() -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.invoke(QUIET, 1)
    desk.invoke(QUIET, 2, run=2)
    (batch,) = desk.batches()
    assert len(batch.items) == 2
    desk.machine.work(100.0, 2, Revoke((2,)), 1)
    assert TickAt(100.05) in desk.then()
    for now, page in (
        (100.06, (batch.no, 0, True, 100.0)),
        (100.12, (batch.no, -1, False, 0.0)),
        (100.2, (0, 1, True, 0.0)),
    ):
        assert desk.machine.watched_sandboxes() == [BOX]
        desk.machine.tick(now, {BOX: page})
        (tick,) = desk.then(now)
        assert isinstance(tick, TickAt), "the Step of the other Run was ended, or nobody looks again"
        assert tick.at <= now + 0.06
    desk.machine.tick(100.3, {BOX: (batch.no, 7, True, 100.2)})  # a page that says what can't be
    assert not any(isinstance(c, KillSandbox) for c in desk.then())
    desk.machine.tick(100.4, {BOX: (batch.no, 1, True, 100.2)})
    assert KillSandbox(BOX) in desk.then(100.4)
    desk.die((batch.no, 1, True, 100.2), 100.4)
    assert failures(desk.then(100.4)) == {2: Reason.CANCELLED}


def test_a_sandbox_with_nothing_but_revoked_steps_is_ended_whatever_its_page_says() -> None:
    desk = Desk()
    desk.invoke_items(QUIET, 1, (0, 4))
    desk.then()
    desk.machine.ready(100.0, BOX)
    desk.then()
    desk.machine.work(100.0, 1, Revoke((1,)), 1)
    desk.machine.tick(100.1, {BOX: (0, -1, False, 0.0)})
    assert KillSandbox(BOX) in desk.then(100.1)
    desk.die((0, -1, False, 0.0), 100.1)
    assert not any(isinstance(c, Send | StartSandbox) for c in desk.then(100.1))


def test_the_items_of_a_revoked_map_are_ended_where_they_run() -> None:
    desk = Desk()
    desk.invoke_items(QUIET, 1, (0, 1))
    desk.then()
    desk.machine.ready(100.0, BOX)
    desk.then()
    desk.machine.spoke(100.0, BOX, [ItemOutcomes(1, ((0, 1, VALUE),), (), FAST)])
    desk.invoke_items(QUIET, 2, (0, 2))
    desk.then()
    desk.invoke(QUIET, 3, 4, 5)
    (behind,) = desk.batches()
    desk.machine.work(100.0, 1, Revoke((2,)), 1)
    desk.machine.tick(100.1, {BOX: (2, 0, True, 100.0)})
    assert KillSandbox(BOX) in desk.then(100.1)
    desk.die((2, 0, True, 100.0), 100.1)
    assert failures(desk.then(100.1)) == {0: Reason.CANCELLED}
    desk.machine.ready(100.1, SandboxId(2))
    assert [steps_of(batch) for batch in desk.batches(100.1)] == [steps_of(behind)]


def test_the_second_batch_of_a_sandbox_is_timed_too() -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.warm_up(TIMED)
    desk.invoke(QUIET, 1, 2)
    desk.then()
    desk.invoke(TIMED, 3, 4)
    (second,) = desk.batches()
    assert second.function is TIMED
    desk.machine.tick(101.5, {})
    (tick,) = desk.then(101.5)
    assert isinstance(tick, TickAt)
    assert tick.at <= 102.5, "the first Batch has no timeout_s, but the second has one"


@pytest.mark.parametrize("entered", [True, False])
def test_what_must_not_repeat_fails_as_lost_if_it_was_entered(entered: bool) -> None:
    """Visible, with an explicit `retries=0`: its outcome died with the Sandbox, and it may have done its work."""
    desk = Desk()
    desk.warm_up(ONCE)
    desk.invoke(ONCE, 1, 2, 3)
    (batch,) = desk.batches()
    desk.die((batch.no, 1, entered, 100.0), text="printed")
    commands = desk.then()
    assert failures(commands) == {1: Reason.LOST, 2: Reason.LOST}
    outcomes = [
        one for c in commands if isinstance(c, Tell) and isinstance(c.event, AttemptsEnded) for one in c.event.ended
    ]
    assert {one.step: one.text for one in outcomes} == {1: "", 2: "printed"}
    desk.machine.ready(100.0, SandboxId(2))
    assert [steps_of(batch) for batch in desk.batches()] == [[3]]


def test_items_that_must_not_repeat_fail_as_lost_if_they_were_entered() -> None:
    desk = Desk()
    desk.warm_up(ONCE)
    desk.invoke_items(ONCE, 1, (0, 4))
    desk.then()
    desk.die((2, 2, True, 100.0))
    assert failures(desk.then()) == dict.fromkeys(range(3), Reason.LOST)
    desk.machine.ready(100.0, SandboxId(2))
    (send,) = [c.message for c in desk.then() if isinstance(c, Send)]
    assert isinstance(send, ItemBatch)
    assert send.ranges == ((3, 4),)


@pytest.mark.parametrize("items", [False, True])
def test_sandboxes_that_end_outside_of_bodies_are_not_made_for_ever(items: bool) -> None:
    """What was sent ends them before it is entered; no Attempt is used up by that."""
    desk = Desk()
    desk.warm_up(QUIET)
    if items:
        desk.invoke_items(QUIET, 1, (0, 2))
    else:
        desk.invoke(QUIET, 1, 2)
    desk.then()
    for number in (2, 3):
        desk.machine.gone(100.0, SandboxId(number - 1), "exit code 1", (0, -1, False, 0.0), "")
        assert failures(desk.then()) == {}
        desk.machine.ready(100.0, SandboxId(number))
        assert [c for c in desk.then() if isinstance(c, Send)]
    desk.machine.gone(100.0, SandboxId(3), "exit code 1", (0, -1, False, 0.0), "")
    assert failures(desk.then()) == {0 if items else 1: Reason.LOST}
    desk.machine.ready(100.0, SandboxId(4))
    assert [c for c in desk.then() if isinstance(c, Send)], "the others go on"


# ---------------------------------------------------------------------- whose turn it is


def test_lanes_take_turns() -> None:
    """One Invocation does not wait for the last item of a long map."""
    desk = Desk()
    desk.invoke_items(QUIET, 1, (0, 1_000_000))
    desk.invoke(replace(QUIET, name="m:other", label="other"), 2, run=2)
    desk.then()
    desk.machine.ready(100.0, BOX)
    labels = []
    for no in (1, 2):
        labels += [c.message.function.label for c in desk.then() if isinstance(c, Send)]
        desk.machine.spoke(100.0, BOX, [ItemOutcomes(no, ((0, 1, VALUE),), (), Ran(1, 100.0, 100.1))])
    assert labels == ["quiet", "other"]


def test_invocations_of_several_runs_share_a_batch_and_keep_their_names() -> None:
    desk = Desk()
    desk.warm_up(QUIET)
    desk.invoke(QUIET, 1, run=2)
    desk.invoke(QUIET, 2)
    desk.invoke(QUIET, 3, run=2)
    (batch,) = desk.batches()
    assert [batch.runs[i.run][0] for i in batch.items] == ["run-2", "run-1", "run-2"]


def test_time_is_asked_for_even_while_nothing_is_placed() -> None:
    """An engine that drains places nothing, but still ends what runs too long."""
    desk = Desk()
    desk.invoke(TIMED, 1)
    desk.then()
    desk.machine.ready(100.0, BOX)
    desk.then()
    desk.machine.tick(100.5, {BOX: (1, 0, True, 100.0)})
    (tick,) = desk.machine.take_commands()
    assert isinstance(tick, TickAt)
    assert tick.at <= 101.25


def test_what_an_item_prints_has_its_name_where_that_is_known() -> None:
    desk = Desk()
    desk.invoke_items(QUIET, 5, (0, 1), (2, 30))
    desk.then()
    desk.machine.ready(100.0, BOX)
    desk.then()
    desk.machine.spoke(100.0, BOX, [ItemOutcomes(1, ((0, 1, VALUE),), (), FAST, "one", (), ((0, 3),))])
    commands = desk.then()
    assert [(c.step, c.printed) for c in commands if isinstance(c, Said)] == [("step-5.0", ())]
    (send, *_) = [c.message for c in commands if isinstance(c, Send)]
    assert isinstance(send, ItemBatch)
    lo = send.ranges[0][0]
    both = ItemOutcomes(send.no, ((lo, lo + 2, VALUE),), (), FAST, "abc", (), ((lo + 1, 2),))
    desk.machine.spoke(100.0, BOX, [both])
    desk.die((send.no, lo + 2, True, 100.0), text="its last words")
    said = [(c.step, c.text, c.printed) for c in desk.then() if isinstance(c, Said)]
    assert said == [("step-5", "abc", ((lo + 1, 2),)), (f"step-5.{lo + 2}", "its last words", ())]
