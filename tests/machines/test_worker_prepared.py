"""Invocations that a Sandbox is given before they are asked for: beside the commit that they wait for."""

from __future__ import annotations

import pytest
from tests.machines.test_worker_batches import BOX, QUIET, TREE, Desk, came

from weftrun.model.commands import Invoke
from weftrun.model.ids import SandboxId, StepId
from weftrun.model.messages import Batch, Invocation, Outcomes
from weftrun.model.policy import FunctionSpec, Reach, Sharing
from weftrun.model.work import Send, Tell


def invoke(step: int, function: FunctionSpec = QUIET) -> Invoke:
    return Invoke(function, (Invocation(0, step, StepId(f"step-{step}"), 1, TREE),))


def warm() -> Desk:
    desk = Desk()
    desk.warm_up(QUIET)
    return desk


def prepared(desk: Desk, step: int) -> Batch:
    assert desk.machine.prepare(100.0, 1, invoke(step), 1)
    (command,) = desk.machine.take_commands()
    assert isinstance(command, Send)
    assert isinstance(command.message, Batch)
    assert command.message.is_prepared
    return command.message


def test_what_was_prepared_is_asked_for_and_told() -> None:
    desk = warm()
    batch = prepared(desk, 1)
    assert desk.machine.prepared_over(is_asked=True) == batch.no
    desk.machine.prepared_came(1, invoke(1))
    assert desk.then() == []
    assert not desk.machine.quiet
    desk.tell(batch.no, came(1, 0))
    (told,) = desk.then()
    assert isinstance(told, Tell)
    assert desk.machine.quiet


def test_what_was_prepared_is_not_lost_with_its_sandbox() -> None:
    desk = warm()
    prepared(desk, 1)
    desk.machine.prepared_over(is_asked=True)
    desk.machine.prepared_came(1, invoke(1))
    desk.die((0, -1, False, 0.0))
    desk.then()
    desk.machine.ready(100.0, SandboxId(2))
    (batch,) = desk.batches()
    assert [i.step for i in batch.items] == [1]
    assert not batch.is_prepared


def test_another_invocation_than_the_prepared_one_is_a_bug() -> None:
    desk = warm()
    prepared(desk, 1)
    desk.machine.prepared_over(is_asked=True)
    with pytest.raises(AssertionError, match="was prepared"):
        desk.machine.prepared_came(1, invoke(2))


def test_nothing_more_is_prepared_until_it_is_known_that_something_is_not_to_be_entered() -> None:
    desk = warm()
    batch = prepared(desk, 1)
    assert desk.machine.prepared_over(is_asked=False) == batch.no
    assert desk.machine.quiet
    assert not desk.machine.prepare(100.0, 1, invoke(1), 1)
    desk.machine.spoke(100.0, BOX, [Outcomes(batch.no, ())])
    assert prepared(desk, 1).no > batch.no


def test_a_sandbox_that_is_gone_knows_too() -> None:
    desk = warm()
    prepared(desk, 1)
    desk.machine.prepared_over(is_asked=False)
    desk.die((0, -1, False, 0.0))
    desk.invoke(QUIET, 2)
    desk.then()
    desk.machine.ready(100.0, SandboxId(2))
    (batch,) = desk.batches()
    desk.machine.spoke(100.0, SandboxId(2), [Outcomes(batch.no, (came(2, 0),))])
    desk.then()
    prepared(desk, 3)


@pytest.mark.parametrize(
    "function",
    [
        FunctionSpec("m:shares", "shares", effects="none", reach=Reach(True, Sharing("drop", "threads", 2))),
        FunctionSpec("m:other", "other", effects="none"),
    ],
)
def test_nothing_is_prepared_where_that_would_not_do(function: FunctionSpec) -> None:
    desk = warm()
    if function.sharing is None:
        desk.invoke(QUIET, 7)  # it waits, and is first
    assert not desk.machine.prepare(100.0, 1, invoke(1, function), 1)


def test_nothing_is_prepared_where_no_sandbox_is_idle() -> None:
    desk = warm()
    desk.invoke(QUIET, 7)
    desk.then()
    assert not desk.machine.prepare(100.0, 1, invoke(1), 1)
