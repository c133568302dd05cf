"""Several Attempts at once in one Sandbox: what each of them tells, and what is known when the Sandbox dies."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.process import at_once
from tests.process.rig import HERE, WAIT_S, Rig, bundle, inline, until

from weftrun.model.ids import SandboxId
from weftrun.model.outcomes import Outcome
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Object
from weftrun.sdk.function import Function

CODE = bundle("tests.process.at_once", HERE.parents[1])


def send(rig: Rig, sandbox: SandboxId, made: Function[..., object], *calls: object, **more: object) -> int:
    spec: FunctionSpec = made.spec
    trees = [call if not isinstance(call, tuple) else inline((call, {})) for call in calls]
    return rig.send(sandbox, spec.name, *trees, reach=spec.reach, **more)  # type: ignore[arg-type]


def entered(rig: Rig, sandbox: SandboxId) -> list[tuple[int, int]]:
    slots = rig.on_loop(lambda: rig.sandboxes.progress(sandbox)).slots
    return sorted((slot.batch, slot.index) for slot in slots)


def by_index(outcomes: list[Outcome]) -> list[Outcome]:
    return sorted(outcomes, key=lambda outcome: outcome.index)


@pytest.mark.parametrize("made", [at_once.meet, at_once.meet_on_a_loop], ids=["threads", "coroutines"])
def test_as_many_are_entered_at_once_as_was_said(rig: Rig, made: Function[..., object]) -> None:
    sandbox = rig.ready(CODE)
    send(rig, sandbox, made, *[(n,) for n in range(4)])
    outcomes = by_index(rig.outcomes(4))
    told = [rig.read(outcome.value) for outcome in outcomes if outcome.value is not None]
    assert [step for step, _ in told] == [f"{made.spec.name}[{n}]" for n in range(4)]
    assert len({where for _, where in told}) == 1
    assert [outcome.text for outcome in outcomes] == [f"{n} comes\n{n} goes\n" for n in range(4)]
    assert until(lambda: not entered(rig, sandbox), WAIT_S)


def test_an_outcome_waits_for_no_neighbour(rig: Rig, tmp_path: Path) -> None:
    sandbox = rig.ready(CODE)
    no = send(rig, sandbox, at_once.passes, *[(n, str(tmp_path)) for n in range(4)])
    first, second = by_index(rig.outcomes(2))
    assert (first.index, first.failure, second.index) == (0, None, 2)
    assert second.failure is not None and second.failure.message == "two"
    assert until(lambda: entered(rig, sandbox) == [(no, 1), (no, 3)], WAIT_S)  # it says an outcome, then leaves
    again = send(rig, sandbox, at_once.passes, (4, str(tmp_path)))  # another Batch, while those of the first run
    (third,) = rig.outcomes(1)
    assert third.index == 0 and again > no and third.value is not None
    (tmp_path / "go").touch()
    assert [outcome.index for outcome in by_index(rig.outcomes(2))] == [1, 3]


def test_what_was_entered_is_known_when_a_sandbox_dies(rig: Rig) -> None:
    sandbox = rig.ready(CODE)
    no = send(rig, sandbox, at_once.dies, *[(n,) for n in range(6)])  # two more than may be entered
    _, gone, why, progress = rig.hear("gone")
    assert (gone, why) == (sandbox, "exit code 3")
    assert sorted((slot.batch, slot.index) for slot in progress.slots) == [(no, n) for n in range(4)]
    assert {slot.index: slot.text for slot in progress.slots} == {n: f"{n} says\n" for n in range(4)}


def test_objects_come_and_go_with_the_attempt_that_they_belong_to(rig: Rig) -> None:
    sandbox = rig.ready(CODE)
    send(rig, sandbox, at_once.large, *[(n,) for n in range(4)])
    outcomes = by_index(rig.outcomes(4))
    assert all(isinstance(outcome.value, Object) for outcome in outcomes)
    assert [rig.read(o.value) for o in outcomes if o.value is not None] == [bytes([n]) * 100_000 for n in range(4)]


def test_items_of_a_map_run_at_once_too(rig: Rig) -> None:
    sandbox = rig.ready(CODE)
    spec = at_once.meet.spec
    rig.send_items(sandbox, spec.name, list(range(4)), reach=spec.reach)
    told = rig.item_outcomes(4)
    assert {rig.read(values[2])[0][0] for one in told for values in one.values} == {
        f"{spec.name}[0].{n}" for n in range(4)
    }
    assert sorted(one.text for one in told) == [f"{n} comes\n{n} goes\n" for n in range(4)]


def test_a_handler_of_lists_is_called_once_for_all(rig: Rig) -> None:
    sandbox = rig.ready(CODE)
    send(rig, sandbox, at_once.doubles, (2,), (3,), (4,))
    outcomes = by_index(rig.outcomes(3))
    assert [rig.read(o.value) for o in outcomes if o.value is not None] == [(4, 3), (8, 3)]
    assert outcomes[1].failure is not None and outcomes[1].failure.message == "odd one"
    assert "".join(outcome.text for outcome in outcomes) == "3\n"
    send(rig, sandbox, at_once.doubles_later, (2, 3), (4, 5))
    assert [rig.read(o.value) for o in by_index(rig.outcomes(2)) if o.value is not None] == [6, 20]


def test_a_list_of_another_length_fails_all(rig: Rig) -> None:
    sandbox = rig.ready(CODE)
    send(rig, sandbox, at_once.short, (1,), (2,))
    for outcome in rig.outcomes(2):
        assert outcome.failure is not None
        assert "has batch=True and was called for 2 calls, but returned a list of 1" in outcome.failure.message
