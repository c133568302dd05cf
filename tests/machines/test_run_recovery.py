"""What a Run knows again after a crash: settled calls, inner graphs, items, due times; and what is shown of its end."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import (
    QUIET,
    SEEN,
    STRICT,
    TRIED,
    UID,
    VALUE,
    WATCHES,
    WIRES,
    RunDesk,
    call,
    chunk,
    failure,
)

from weftrun.machines.run import Recorded, RunMachine
from weftrun.model.events import ItemsEnded
from weftrun.model.ids import StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN
from weftrun.model.records import Ended
from weftrun.model.values import Inline, RefTo, Tree

LIMITS = Limits()

# ---------------------------------------------------------------------- graphs


def test_a_recorded_graph_that_is_too_large_now_fails_its_run() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(QUIET, 1))
    desk.returns("wires")
    desk.commits()
    desk.dies(Limits(steps_max=2))
    assert not desk.left, "its body was not entered again"
    desk.commits()
    assert desk.failed_with.startswith("wires made more calls than one Run may have Steps")


def test_refs_in_the_answers_of_child_workflows_find_their_values_again() -> None:
    """Of a `def` body from its graph, of an async one from the records of its calls and of the graph it left open."""
    desk = RunDesk()
    desk.makes("watches", call(WIRES), call(WATCHES), call(WATCHES, 1), awaits=(0,))
    desk.makes("wires[0]", call(QUIET))
    desk.returns("wires[0]", 0)
    desk.makes("watches[0]", call(QUIET), call(QUIET, 1, is_map=True), chunks=[chunk(1, 0, 2)], awaits=(0,))
    desk.ends("watches[0]/quiet[0]", value=Inline(b"of an async body"))
    desk.items_end("watches[0]/quiet[1]", (0, 2), data=Inline(b"items"))
    desk.returns("watches[0]", 0, RefTo(1, (1,)))
    desk.makes("watches[1]", call(QUIET), call(QUIET, 1), awaits=(1,))
    desk.ends("watches[1]/quiet[1]", value=Inline(b"before"))
    desk.returns("watches[1]", 0, 1)
    desk.ends("watches[1]/quiet[0]", value=Inline(b"after"))
    desk.ends("wires[0]/quiet[0]", value=Inline(b"of a def body"))
    desk.commits()
    desk.dies()
    assert list(desk.bodies) == ["watches"]
    desk.makes("watches", call(WIRES), call(WATCHES), call(WATCHES, 1), call(QUIET, 0, 0, 1, 2), awaits=(3,))
    wires, watches, both = desk.sent["quiet[0]"].args.holes
    assert wires.holes == (Tree(Inline(b"of a def body")),)
    assert watches.holes == (Tree(Inline(b"of an async body")), Tree(Inline(b"items"), path=(1,)))
    assert both.holes == (Tree(Inline(b"after")), Tree(Inline(b"before")))


def test_a_due_time_inside_a_graph_is_kept() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(TRIED), call(TRIED, 1, 0))
    desk.returns("wires", 1)
    desk.ends(bad=["tried[0]"])
    due = desk.wake_at
    desk.commits()
    desk.dies()
    assert not desk.sent
    assert desk.wake_at == due
    desk.time_comes()
    assert desk.sent["tried[0]"].attempt == 2
    desk.ends("tried[0]")
    assert desk.sent["tried[1]"].attempt == 1


# ---------------------------------------------------------------------- maps


def test_items_that_failed_or_wait_are_known_again() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(TRIED, is_map=True), chunks=[chunk(0, 0, 4, last=False), chunk(0, 4, 4)])
    desk.returns("wires", 0)
    desk.items_end("tried[0]", (5, 6), fails=[0, 1])
    desk.time_comes()
    assert desk.ranges == [(0, 4), (4, 8), (0, 1), (1, 2)]
    desk.items_end("tried[0]", (0, 1), attempt=2)
    desk.items_end("tried[0]", fails=[1], attempt=2)
    desk.commits()
    desk.dies()
    assert desk.ranges == [(2, 4), (4, 5), (6, 8)], "what is settled, and what waits for its time, is not sent"
    desk.time_comes()
    assert desk.ranges[3:] == [(1, 2)]
    assert desk.items["tried[0]"].attempt == 3


def test_a_map_that_failed_for_good_is_known_again() -> None:
    desk = RunDesk()
    desk.makes("watches", call(QUIET, is_map=True), chunks=[chunk(0, 0, 3)], awaits=(0,))
    desk.items_end("quiet[0]", (0, 1), (2, 3), fails=[1])
    desk.commits()
    (first,) = desk.delivered
    desk.dies()
    desk.makes("watches", call(QUIET, is_map=True), chunks=[chunk(0, 0, 3)], awaits=(0,))
    assert desk.delivered == [first]
    assert first.failure is not None
    assert first.failure.origin == "quiet[0].1"


def test_a_map_that_was_not_told_to_its_end_begins_afresh() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET, is_map=True), chunks=[chunk(0, 0, 4, last=False)])
    desk.commits()
    desk.loses("wires")
    desk.makes("wires", call(QUIET, is_map=True), chunks=[chunk(0, 0, 4)])
    desk.returns("wires", 0)
    desk.commits()
    desk.dies()
    assert desk.ranges == [(0, 4)]


# ---------------------------------------------------------------------- the end, as it is shown


def ended_desk() -> RunDesk:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(QUIET, 1))
    desk.returns("wires", 0)
    desk.ends("quiet[0]", "quiet[1]", value=Inline(b"answer"))
    desk.commits()
    return desk


def test_the_answer_of_rows_is_the_one_that_left_the_engine() -> None:
    desk = ended_desk()
    assert RunMachine.answer_of(UID, desk.rows, LIMITS) == desk.end
    plain = RunDesk(QUIET)
    plain.ends("quiet", value=Inline(b"one"))
    plain.commits()
    end = RunMachine.answer_of(UID, plain.rows, LIMITS)
    assert end == plain.end
    assert end.answer == Tree(Inline(b"one"))


def test_the_answer_of_rows_that_have_no_end_is_refused() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        RunMachine.answer_of(UID, ended_desk().rows[:-1], LIMITS)


def test_an_answer_that_names_a_step_without_a_record_is_refused() -> None:
    rows = ended_desk().rows
    last = rows[-1]
    ended = [record for record in last.records if isinstance(record, Ended)]
    damaged = type(last)(last.uid, last.seq, last.at, last.epoch, tuple(ended))
    with pytest.raises(ValueError, match=r"quiet\[0\] has no value"):
        RunMachine.answer_of(UID, [*rows[:-1], damaged], LIMITS)


def test_rows_begin_with_the_start() -> None:
    with pytest.raises(ValueError, match="the first record of a Run is its start"):
        Recorded.of(ended_desk().rows[1:])


def test_calls_of_a_def_body_are_not_told_by_their_outcomes() -> None:
    recorded = Recorded.of(ended_desk().rows)
    with pytest.raises(ValueError, match="was not called by an async body"):
        recorded.call_of(StepId("quiet[0]"))


# ---------------------------------------------------------------------- values that wait for the disk (G-b)


def test_a_strict_value_is_shown_when_it_is_durable() -> None:
    desk = RunDesk()
    desk.makes("watches", call(STRICT), call(QUIET, 0, 0), awaits=(0,))
    desk.ends("strict[0]")
    assert not desk.delivered
    assert not desk.sent
    desk.commits()
    assert len(desk.delivered) == 1
    assert "quiet[0]" in desk.sent


def test_a_strict_failure_is_shown_when_it_is_durable() -> None:
    desk = RunDesk()
    desk.makes("watches", call(STRICT), call(QUIET, 0, 0), awaits=(0,))
    desk.ends(bad=["strict[0]"])
    assert not desk.delivered
    desk.commits()
    assert [deliver.call for deliver in desk.delivered] == [0]
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_a_strict_value_of_a_body_that_fails_meanwhile_is_shown_to_nobody() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WATCHES), awaits=(0,))
    desk.makes("watches[0]", call(STRICT), call(QUIET, 0, 0))
    desk.ends("watches[0]/strict[0]")
    desk.returns("watches[0]", fails=failure())
    desk.commits()
    assert "watches[0]/quiet[0]" not in desk.sent


def test_outcomes_of_items_that_nobody_waits_for_are_passed_by() -> None:
    desk = RunDesk()
    desk.makes("watches", call(WIRES), awaits=(0,))
    desk.makes(
        "wires[0]",
        call(TRIED, is_map=True),
        call(SEEN, is_map=True),
        call(QUIET),
        chunks=[chunk(0, 0, 2), chunk(1, 0, 2)],
    )
    desk.returns("wires[0]")
    map_step = desk.items["wires[0]/tried[0]"].step
    desk.items_end("wires[0]/tried[0]", fails=[0])
    desk.items_end("wires[0]/tried[0]", fails=[0])
    due = desk.wake_at
    desk.ends(bad=["wires[0]/quiet[0]"])
    rows = len(desk.rows)
    desk.tell(ItemsEnded(desk.now, map_step, 1, ((1, 2, VALUE),), (), NOT_RUN))
    assert len(desk.rows) == rows
    desk.commits()
    assert "wires[0]/seen[0]" not in desk.items
    desk.wake_at = due
    desk.time_comes()
    assert desk.ranges == [(0, 2)]
