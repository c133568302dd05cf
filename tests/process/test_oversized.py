"""Messages over `frame_bytes_max`: told in pieces, or a failure that says what to do; the Sandbox lives on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from tests.process.rig import Rig, bundle, full_name, inline

from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyCalled, BodyDeliver, BodyEnded, BodyStart, ItemBatch, ItemOutcomes
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.values import Tree
from weftrun.sdk.codec import encode

LIMITS = Limits(frame_bytes_max=150_000, inline_bytes_max=10_000, text_bytes_max=10_000, error_text_bytes_max=4_000)
WORD = "w" * 9_000


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path, LIMITS)
    yield made
    made.close()


def too_large() -> Tree:
    """Return arguments that take more than a frame: one list of many values that ride along."""
    holes = tuple(inline(WORD) for _ in range(20))
    return Tree(inline((([],), {})).data, holes)


def check(failure: Failure | None, *, names: str) -> None:
    """Check that a failure names the Step, the limit and what to do."""
    assert failure is not None and failure.reason is Reason.MISUSE
    assert names in failure.message and "frame_bytes_max is 150000" in failure.message
    assert "in layers" in failure.message and "10000 bytes" in failure.message


def test_a_batch_comes_in_pieces(small: Rig) -> None:
    sandbox = small.ready()
    number = small.send(sandbox, "echo", *((f"{i}{WORD}",) for i in range(40)))
    outcomes = small.outcomes(40)
    assert [outcome.index for outcome in outcomes] == list(range(40))
    assert [small.read(o.value) for o in outcomes if o.value] == [f"{i}{WORD}" for i in range(40)]
    progress = small.on_loop(lambda: small.sandboxes.progress(sandbox))
    assert (progress.batch, progress.index) == (number, 39)


def test_an_invocation_over_the_limit_fails_alone(small: Rig) -> None:
    sandbox = small.ready()
    small.send(sandbox, "inc", (1,), too_large(), (3,))
    outcomes = {outcome.index: outcome for outcome in small.outcomes(3)}
    check(outcomes[1].failure, names="The arguments of inc[1]")
    assert [small.read(outcomes[i].value) for i in (0, 2)] == [2, 4]
    assert small.call(sandbox, "inc", 1) == 2


def test_its_objects_are_released(small: Rig) -> None:
    sandbox = small.ready()
    made = small.objects.publish(encode("x" * 20_000, what="x").pieces)
    holes = (*too_large().holes, Tree(made))
    small.send(sandbox, "inc", Tree(inline((([],), {})).data, holes), objects=(made.oid,))
    check(small.outcomes(1)[0].failure, names="inc[0]")
    assert small.on_loop(lambda: small.sandboxes.held(sandbox)) == frozenset()
    small.objects.release(made.oid)
    assert small.objects.stats()["objects"] == 0


def test_items_over_the_limit_fail(small: Rig) -> None:
    sandbox = small.ready()
    batch = ItemBatch(
        1, FunctionSpec(full_name("inc"), "inc"), (RunId("r"), RunUid("u")), StepId("inc[0]"), 1,
        inline(((), {})), too_large(), 4, ((4, 5),),
    )  # fmt: skip
    small.on_loop(lambda: small.sandboxes.send(sandbox, batch))
    message = small.hear("spoke")[2]
    assert isinstance(message, ItemOutcomes)
    ((index, failure),) = message.failures
    assert index == 4
    check(failure, names="inc[0].4")
    assert small.call(sandbox, "inc", 1) == 2


def start(rig: Rig, sandbox: SandboxId, body: int, name: str, args: Tree) -> None:
    """Enter a body."""
    spec = FunctionSpec(full_name(name), name, Kind.WATCHING)
    message = BodyStart(body, spec, (RunId("r"), RunUid("u")), StepId(name), 1, args, 5.0)
    rig.on_loop(lambda: rig.sandboxes.send(sandbox, message))


def test_bodies_over_the_limit_end(small: Rig) -> None:
    sandbox = small.ready()
    start(small, sandbox, 1, "watches", too_large())
    ended = small.hear("spoke")[2]
    assert isinstance(ended, BodyEnded) and ended.body == 1
    check(ended.failure, names="The arguments of watches")
    start(small, sandbox, 2, "watches", inline(((1,), {})))
    assert small.hear("spoke")[2].awaits == (0,)
    small.on_loop(lambda: small.sandboxes.send(sandbox, BodyDeliver(2, 0, too_large(), None, 6.0)))
    ended = small.hear("spoke")[2]
    assert isinstance(ended, BodyEnded) and ended.body == 2
    check(ended.failure, names="The value awaited by watches would")
    small.on_loop(lambda: small.sandboxes.send(sandbox, BodyDeliver(2, 0, inline(2), None, 6.0)))
    assert small.call(sandbox, "inc", 1) == 2


def test_what_a_body_made_is_told_in_pieces(small: Rig) -> None:
    sandbox = small.ready()
    start(small, sandbox, 1, "calls_with", inline(((40, WORD), {})))
    calls = 0
    while not isinstance(message := small.hear("spoke")[2], BodyEnded):
        assert isinstance(message, BodyCalled)
        assert [call.n for call in message.calls] == list(range(calls, calls + len(message.calls)))
        calls += len(message.calls)
    assert (calls, message.failure) == (40, None)


def test_failures_of_items_are_told_in_pieces(small: Rig) -> None:
    sandbox = small.ready()
    small.send_items(sandbox, "fails", [f"{i}{WORD}" for i in range(100)])
    found = [index for message in small.item_outcomes(100) for index, _ in message.failures]
    assert found == list(range(100))
    assert small.call(sandbox, "inc", 1) == 2


def test_code_over_the_limit(small: Rig) -> None:
    small.create(replace(bundle(), blob=bytes(200_000)))
    assert "frame_bytes_max" in small.hear("gone")[2]


def test_limits_that_cannot_hold_an_outcome_are_refused(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.close()
    with pytest.raises(UsageError, match="frame_bytes_max is 200000, but"):
        Rig(tmp_path, Limits(frame_bytes_max=200_000))
