"""Bodies of Workflows in a Sandbox, told step by step."""

from __future__ import annotations

from typing import Any

from tests.process.rig import ARRAYS, Rig, full_name, inline

from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyDrop, BodyEnded, BodyStart
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Object, RefTo


def start(rig: Rig, sandbox: SandboxId, body: int, name: str, kind: Kind, *args: Any) -> None:
    """Enter a Workflow of `sandboxed`."""
    spec = FunctionSpec(full_name(name), name, kind)
    message = BodyStart(body, spec, (RunId("r"), RunUid("u")), StepId(name), 1, inline((args, {})), 5.0)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, message))


def deliver(
    rig: Rig, sandbox: SandboxId, body: int, call: int, value: Any = None, failure: Failure | None = None
) -> None:
    """Hand an outcome to a body."""
    told = BodyDeliver(body, call, None if failure else inline(value), failure, 6.0)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, told))


def test_a_wiring_body_tells_its_calls_and_its_answer(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "wires", Kind.WIRING, 1)
    called = rig.hear("spoke")[2]
    assert isinstance(called, BodyCalled)
    assert [spec.label for spec in called.functions] == ["inc"]
    assert [(call.n, call.args.refs) for call in called.calls] == [(0, ()), (1, (RefTo(0),))]
    assert called.awaits == ()
    ended = rig.hear("spoke")[2]
    assert isinstance(ended, BodyEnded)
    assert ended.failure is None and ended.answer is not None and ended.answer.refs == (RefTo(1),)
    assert ended.text == "wiring\n"


def test_bodies_wait_side_by_side(rig: Rig) -> None:
    sandbox = rig.ready()
    for body in (1, 2):
        start(rig, sandbox, body, "watches", Kind.WATCHING, 10 * body)
        called = rig.hear("spoke")[2]
        assert (called.body, len(called.calls), called.awaits) == (body, 1, (0,))
    for body in (2, 1):
        deliver(rig, sandbox, body, 0, 10 * body + 1)
        assert rig.hear("spoke")[2].awaits == (1,)
        deliver(rig, sandbox, body, 1, 7)
        ended = rig.hear("spoke")[2]
        assert (ended.body, rig.read(ended.answer.data), ended.ran.preview) == (body, 7, "7")


def test_a_failure_reaches_the_body(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "watches", Kind.WATCHING, 1)
    assert rig.hear("spoke")[2].awaits == (0,)
    deliver(rig, sandbox, 1, 0, failure=Failure(Reason.RAISED, "ValueError", "no such thing", origin=StepId("inc[0]")))
    ended = rig.hear("spoke")[2]
    assert ended.answer is None and "no such thing" in ended.failure.message


def test_a_dropped_body_wants_nothing(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "watches", Kind.WATCHING, 1)
    rig.hear("spoke")
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, BodyDrop(1)))
    deliver(rig, sandbox, 1, 0, 2)
    assert rig.call(sandbox, "inc", 1) == 2


def test_large_arguments_of_calls_are_objects(rig: Rig) -> None:
    sandbox = rig.ready(ARRAYS)
    start(rig, sandbox, 1, "arrays:hands_on", Kind.WIRING, 200_000)
    called = rig.hear("spoke")[2]
    data = called.calls[0].args.data
    assert isinstance(data, Object) and rig.read(data)[0][0].nbytes == 200_000
    assert rig.hear("spoke")[2].failure is None


def test_a_map_is_told_in_chunks(rig: Rig) -> None:
    sandbox = rig.ready()
    start(rig, sandbox, 1, "maps", Kind.WIRING, 100_000)
    counts: list[int] = []
    calls = 0
    while True:
        message = rig.hear("spoke")[2]
        if isinstance(message, BodyEnded):
            break
        calls += len(message.calls)
        counts += [chunk.count for chunk in message.chunks]
        last = [chunk.last for chunk in message.chunks]
    assert (calls, sum(counts), last[-1]) == (1, 100_000, True)
    assert message.failure is None
