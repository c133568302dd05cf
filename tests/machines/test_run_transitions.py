"""The table of a Step's states, and what else `validate` finds in a Run that does not hang together."""

from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest
from tests.machines.run_desk import QUIET, SEEN, WIRES, RunDesk, call

import weftrun.machines.run
from weftrun.machines.run.state import OVER, State, Step
from weftrun.machines.run.transitions import AFTER, move, validate
from weftrun.model.errors import InternalError
from weftrun.model.ids import StepId
from weftrun.model.values import Inline, Payload


def test_no_state_is_forgotten_and_nothing_follows_the_end() -> None:
    assert set(AFTER) == set(State)
    assert all((not AFTER[state]) is (state >= OVER) for state in State)
    assert {to for after in AFTER.values() for to in after} == set(State)


def test_a_transition_that_the_table_does_not_have_is_refused() -> None:
    for before, after in product(State, State):
        step = Step(0, StepId("quiet[0]"), QUIET, Payload(Inline(b"")), None, 0)
        step.state = before
        if after in AFTER[before]:
            move(step, after)
            assert step.state is after
        else:
            with pytest.raises(InternalError, match=rf"quiet\[0\] was {before.name} and can't become {after.name}"):
                move(step, after)
            assert step.state is before


def test_nobody_else_changes_a_state() -> None:
    """A new Step waits."""
    assert Step(0, StepId("quiet[0]"), QUIET, Payload(Inline(b"")), None, 0).state is State.WAITING
    folder = Path(weftrun.machines.run.__file__).parent
    assigned = [
        (path.name, ast.unparse(target), ast.unparse(node.value))
        for path in sorted(folder.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Attribute) and target.attr == "state"
    ]
    assert assigned == [
        ("machine.py", "self.state", "RunState(number, uid, recorded, limits, durable=durable, starts=starts)"),
        ("transitions.py", "step.state", "to"),
    ]


def _state(to: State) -> Callable[[RunDesk], None]:
    def breaks(desk: RunDesk) -> None:
        desk.machine.state.steps[1].state = to

    return breaks


def _failed(desk: RunDesk) -> None:
    _state(State.FAILED)(desk)
    assert desk.machine.state.root.body is not None
    desk.machine.state.root.body.open -= 1


def _open(desk: RunDesk) -> None:
    assert desk.machine.state.root.body is not None
    desk.machine.state.root.body.open += 1


@pytest.mark.parametrize(
    ("breaks", "says"),
    [
        (_state(State.WAITING), "is WAITING, and nothing is left that it could wait for"),
        (_state(State.GATED), "is GATED, and no row opens its gate"),
        (_state(State.BACKING_OFF), "is BACKING_OFF, and its next Attempt has no due time"),
        (_state(State.ENDING), "is ENDING, and none of its body's calls is open"),
        (_state(State.UNDOING), "is UNDOING, and nothing of it is to be undone"),
        (_failed, "is FAILED, and its outcome says another thing"),
        (_open, r"wires counts 3 open calls of wires, and has 2"),
        (lambda desk: desk.machine.state.ready.append(desk.machine.state.root), "something is left in `ready`"),
        (lambda desk: desk.machine.state.gated.update({0: []}), "something waits for row 0 .*, which is durable"),
    ],
)
def test_a_run_that_does_not_hang_together_is_found(breaks: Callable[[RunDesk], None], says: str) -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(SEEN, 0, 0))
    desk.returns("wires", 1)
    validate(desk.machine.state)
    breaks(desk)
    with pytest.raises(InternalError, match=says):
        validate(desk.machine.state)
