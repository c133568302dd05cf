"""Bodies that ask for what they must not have, end in odd ways, are lost and come again (B1 to B4, N1)."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import QUIET, SEEN, STRICT, TRIED, WATCHES, WIRES, RunDesk, call, chunk, failure

from weftrun.machines.run.recorded import Recorded
from weftrun.model.events import BodyReturned, CancelCame, Parked
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Reason
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import AttemptFailed, CancelAsked, Graphed
from weftrun.model.values import Inline, Payload, RefTo

# ---------------------------------------------------------------------- what a body must not ask for


@pytest.mark.parametrize(
    ("calls", "chunks", "awaits", "sentence"),
    [
        ([call(QUIET)], [], (1,), "watches awaits a call that it had not made"),
        ([call(QUIET, 0, 7)], [], (), "quiet[0] takes a Ref of a call that watches had not made before it"),
        ([call(QUIET, 0, 0)], [], (), "quiet[0] takes a Ref of a call that watches had not made before it"),
        ([call(QUIET)], [chunk(0, 0, 1)], (), "watches told of items of a call that it had not made"),
        ([], [chunk(3, 0, 1)], (), "watches told of items of a call that it had not made"),
        ([call(QUIET, is_map=True)], [chunk(0, 5, 1)], (), "watches told of items of a map out of order"),
        ([call(QUIET, is_map=True)], [chunk(0, 0, 11)], (), "a map of watches has more items than a map may have"),
        ([call(QUIET, n) for n in range(5)], [], (), "watches made more calls than one Run may have Steps"),
    ],
)
def test_a_body_that_asks_for_what_it_must_not_have_fails(
    calls: list[Call], chunks: list[Chunk], awaits: tuple[int, ...], sentence: str
) -> None:
    desk = RunDesk(limits=Limits(map_items_max=10, steps_max=5))
    desk.makes("watches", *calls, chunks=chunks, awaits=awaits)
    assert desk.left == [0]
    desk.commits()
    assert desk.failed_with.startswith(sentence)
    assert desk.end is not None
    assert desk.end.failure is not None
    assert desk.end.failure.reason is Reason.MISUSE


def test_child_workflows_may_not_be_nested_without_end() -> None:
    desk = RunDesk(limits=Limits(depth_max=1))
    desk.makes("watches", call(WATCHES), awaits=(0,))
    desk.makes("watches[0]", call(QUIET))
    assert "watches[0]/quiet[0]" in desk.sent
    desk.makes("watches[0]", call(WIRES))
    (deliver,) = desk.delivered
    assert deliver.failure is not None
    assert "is nested deeper than child workflows may be" in deliver.failure.message


@pytest.mark.parametrize("function", [WATCHES, WIRES])
def test_a_body_that_ends_within_the_items_of_a_map_fails(function: FunctionSpec) -> None:
    desk = RunDesk(function)
    desk.makes(function.label, call(QUIET, is_map=True), chunks=[chunk(0, 0, 2, last=False)])
    desk.returns(function.label)
    desk.commits()
    assert desk.failed_with.endswith("ended within the items of quiet[0]")


def test_an_answer_with_a_ref_of_another_body_fails() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET))
    desk.returns("wires", 4)
    desk.commits()
    assert desk.failed_with == "the answer of wires holds a Ref of a call that it had not made"


def test_arguments_of_a_run_hold_no_refs() -> None:
    with pytest.raises(ValueError, match="belongs to a body"):
        RunDesk(args=Payload(Inline(b"args"), (RefTo(0),)))


# ---------------------------------------------------------------------- how bodies end


def test_a_body_that_raises_fails_its_run() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET))
    desk.returns("watches", fails=failure())
    assert desk.revoked == [1]
    desk.commits()
    assert desk.failed_with == "no"


def test_a_body_that_ends_with_neither_answer_nor_failure_fails() -> None:
    desk = RunDesk()
    entered = desk.bodies["watches"]
    desk.tell(BodyReturned(desk.now, entered.step, entered.attempt, None, None, NOT_RUN))
    desk.commits()
    assert desk.failed_with == "the body ended without an answer"


def test_messages_of_bodies_that_are_over_are_passed_by() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WATCHES))
    desk.returns("watches[0]")
    rows = len(desk.rows)
    desk.makes("watches[0]", call(QUIET))
    desk.returns("watches[0]")
    desk.loses("watches[0]")
    assert len(desk.rows) == rows
    assert not desk.sent


def test_a_failure_that_nobody_awaited_fails_the_body_when_it_ends() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), call(QUIET, 1))
    desk.ends(bad=["quiet[0]"])
    desk.commits()
    assert desk.end is None
    desk.returns("watches")
    assert desk.revoked == [2]
    desk.commits()
    assert desk.failed_with == "no"


def test_a_failure_that_was_awaited_is_the_bodys_own_affair() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), call(QUIET, 1, 0), awaits=(0,))
    desk.ends(bad=["quiet[0]"])
    (deliver,) = desk.delivered
    assert deliver.failure is not None
    assert deliver.failure.origin == "quiet[0]"
    desk.makes("watches", call(QUIET, 2, 0))  # taking it all the same fails that Step too, with the same cause
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert not desk.sent


def test_a_failure_in_the_answer_is_nobodys_affair_but_the_runs() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), awaits=(0,))
    desk.ends(bad=["quiet[0]"])
    desk.returns("watches", 0)
    desk.commits()
    assert desk.failed_with == "no"


def test_a_failure_after_the_end_of_an_async_body_fails_it() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET), call(QUIET, 1))
    desk.returns("watches")
    assert any(isinstance(record, Graphed) for row in desk.rows for record in row.records)
    desk.ends(bad=["quiet[0]", "quiet[1]"])
    desk.commits()
    assert desk.failed_with == "no"


def test_a_def_body_fails_at_once_and_takes_everything_inside_back() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WIRES), awaits=(0,))
    desk.makes("wires[0]", call(QUIET), call(QUIET, 1), call(WATCHES), call(QUIET, 2, 0), call(SEEN), call(TRIED))
    desk.returns("wires[0]")
    desk.makes("wires[0]/watches[0]", call(QUIET))
    nested = desk.sent["wires[0]/watches[0]/quiet[0]"]
    desk.ends(bad=["wires[0]/tried[0]"])
    assert desk.wake_at == desk.now + 10.0
    desk.ends("wires[0]/quiet[0]", bad=["wires[0]/quiet[1]"])
    assert "wires[0]/quiet[2]" not in desk.sent, "ready by the same message that failed the body"
    assert nested.step in desk.revoked
    assert desk.bodies["wires[0]/watches[0]"].step in desk.left
    (deliver,) = desk.delivered
    assert deliver.failure is not None
    desk.commits()
    assert "wires[0]/seen[0]" not in desk.sent, "its gate opens when nobody wants it any more"
    desk.time_comes()
    assert "wires[0]/tried[0]" not in desk.sent, "its time comes when nobody wants it any more"


def test_several_failures_of_one_message_fail_a_body_once() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WIRES), awaits=(0,))
    desk.makes("wires[0]", call(QUIET), call(QUIET, 1))
    desk.returns("wires[0]")
    desk.ends(bad=["wires[0]/quiet[0]", "wires[0]/quiet[1]"])
    assert len(desk.delivered) == 1


# ---------------------------------------------------------------------- bodies that are lost


def test_a_lost_async_body_is_replayed_within_one_engine() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET, digest="d"), call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 2, last=False)])
    desk.loses("watches")
    assert desk.bodies["watches"].attempt == 2
    desk.makes("watches", call(QUIET, digest="d"), call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 3)], awaits=(1,))
    assert desk.ranges == [(0, 3)]
    desk.items_end("quiet[1]", (0, 3))
    assert len(desk.delivered) == 1


@pytest.mark.parametrize(
    ("again", "sentence"),
    [
        (call(SEEN), "a replay of watches called seen[0] where it had called quiet[0]"),
        (call(QUIET, digest="other"), "quiet[0] is called with other arguments in a replay than before"),
    ],
)
def test_a_replay_within_one_engine_that_calls_something_else_fails_the_run(again: Call, sentence: str) -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET, digest="d"))
    desk.loses("watches")
    desk.makes("watches", again)
    desk.commits()
    assert desk.failed_with == sentence


def test_a_body_that_is_lost_too_often_fails() -> None:
    desk = RunDesk()
    for _ in range(3):
        desk.loses("watches")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "failed"


def test_a_body_that_had_no_part_in_it_is_entered_again_as_the_same_attempt() -> None:
    """As often as that happens, and without a record; a map that it was telling of begins afresh."""
    desk = RunDesk()
    calls = (call(QUIET, digest="d"), call(QUIET, 1, is_map=True))
    for _ in range(5):
        desk.makes("watches", *calls, chunks=[chunk(1, 0, 2, last=False)])
        desk.loses("watches", innocent=True)
    assert desk.bodies["watches"].attempt == 1
    desk.makes("watches", *calls, chunks=[chunk(1, 0, 3)], awaits=(1,))
    assert desk.ranges == [(0, 3)]
    desk.commits()
    assert not [record for row in desk.rows for record in row.records if isinstance(record, AttemptFailed)]
    assert Recorded.of(desk.rows).map_chunks(StepId("quiet[1]"), None)[0].count == 3


def test_a_wiring_body_that_had_no_part_in_it_begins_anew() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET))
    desk.loses("wires", innocent=True)
    assert desk.bodies["wires"].attempt == 1
    desk.makes("wires", call(QUIET), call(QUIET, 1))
    desk.returns("wires", 1)
    desk.commits()
    assert sorted(desk.sent) == ["quiet[0]", "quiet[1]"]


# ---------------------------------------------------------------------- the Run as a whole


def test_a_cancel_is_taken_once() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET))
    desk.tell(CancelCame(desk.now, "m1"))
    assert desk.revoked == [1]
    asked = [record for row in desk.rows for record in row.records if isinstance(record, CancelAsked)]
    assert asked == [CancelAsked("m1")]
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "cancelled"


def test_a_cancel_on_record_is_not_folded_again() -> None:
    desk = RunDesk()
    desk.tell(CancelCame(desk.now, "m1"))
    kept = [record for record in desk.rows[-1].records if isinstance(record, CancelAsked)]
    desk.rows[-1] = type(desk.rows[-1])(desk.rows[-1].uid, 2, desk.now, 1, tuple(kept))
    desk.committed = 2
    desk.dies()
    rows = len(desk.rows)
    desk.tell(CancelCame(desk.now, "m1"))
    assert len(desk.rows) == rows


def test_a_parked_run_fails_with_its_reason() -> None:
    desk = RunDesk(STRICT)
    desk.tell(Parked(desk.now, failure(Reason.UNLOADABLE)))
    assert desk.revoked == [0]
    desk.commits()
    assert desk.failed_with == "no"


def test_a_replay_is_shown_what_settled_first_of_several() -> None:
    """The one that was made last settled first; after a crash both are there at once (B2)."""
    desk = RunDesk()
    desk.makes("watches", call(QUIET), call(QUIET, 1), awaits=(0, 1))
    desk.ends("quiet[1]")
    desk.makes("watches", awaits=(0,))
    desk.ends("quiet[0]")
    desk.commits()
    assert [deliver.call for deliver in desk.delivered] == [1, 0]
    desk.dies()
    desk.makes("watches", call(QUIET), call(QUIET, 1), awaits=(0, 1))
    desk.makes("watches", awaits=(0,))
    assert [deliver.call for deliver in desk.delivered][-2:] == [1, 0]
