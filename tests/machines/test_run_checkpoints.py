"""Outcomes without a record (C3): what has them recorded, with what, and what a crash makes of them."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import (
    AGAIN,
    AUTO,
    LOOSE,
    QUIET,
    SEEN,
    STRICT,
    SURE,
    TRIED,
    UID,
    WIRES,
    RunDesk,
    call,
    chunk,
    thing,
)

from weftrun.machines.run import RunMachine
from weftrun.model.graph import Call, Chunk
from weftrun.model.outcomes import Success
from weftrun.model.records import AttemptFailed, Ended, ItemsSettled, Settled, StepOutcome
from weftrun.testing.closure import closure_violations


def recorded(desk: RunDesk) -> list[str]:
    """Return what the rows hold, in order: Steps of outcomes, maps of items, and a letter for anything else.

    Whenever somebody looks, closure must hold.
    """
    assert [v for v in closure_violations({UID: desk.rows}) if v.rule != "C2"] == []
    told: list[str] = []
    for row in desk.rows:
        for record in row.records:
            match record:
                case Settled():
                    told += [outcome.step for outcome in record.outcomes]
                case ItemsSettled():
                    told.append(record.step)
                case AttemptFailed():
                    told.append(f"!{record.step}")
                case _:
                    told.append(type(record).__name__[0])
    return told


def outcomes(desk: RunDesk) -> list[StepOutcome]:
    return [o for row in desk.rows for record in row.records if isinstance(record, Settled) for o in record.outcomes]


def wired(*calls: Call, answer: tuple[int, ...] = (), chunks: tuple[Chunk, ...] = ()) -> RunDesk:
    """Return a desk on which a `def` body has made these calls and ended."""
    desk = RunDesk(WIRES)
    desk.makes("wires", *calls, chunks=chunks)
    desk.returns("wires", *answer)
    return desk


# ---------------------------------------------------------------------- what has them recorded


def test_a_chain_without_records_ends_with_its_answer() -> None:
    desk = wired(call(LOOSE), call(LOOSE, 1, 0), call(LOOSE, 2, 1), answer=(2,))
    for n in range(3):
        desk.ends(f"loose[{n}]")
    assert recorded(desk) == ["S", "G", "loose[2]", "E"], "only the last record may leave out what it rests on"
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_a_readers_record_comes_after_those_it_rests_on() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(LOOSE, 1), call(QUIET, 0, 1, 2), call(QUIET, 1))
    desk.ends("loose[0]", "loose[1]")
    desk.ends("sure[0]")
    assert recorded(desk) == ["S", "G"]
    desk.ends("quiet[0]")
    assert recorded(desk) == ["S", "G", "loose[0]", "loose[1]", "quiet[0]"], "what is sure comes again"
    assert len(desk.rows) == 3, "all in one transaction"
    desk.ends("quiet[1]")
    assert recorded(desk)[-2:] == ["quiet[1]", "E"]


def test_what_came_first_without_a_value_is_recorded_too() -> None:
    desk = wired(call(LOOSE), call(QUIET, 0, after=(0,)))
    desk.ends("loose[0]")
    desk.ends("quiet[0]")
    assert recorded(desk)[2:] == ["loose[0]", "quiet[0]", "E"]


def test_a_failed_attempt_rests_on_what_it_took() -> None:
    desk = wired(call(LOOSE), call(TRIED, 0, 0))
    desk.ends("loose[0]")
    desk.ends(bad=["tried[0]"])
    assert recorded(desk)[2:] == ["loose[0]", "!tried[0]"]


def test_a_final_failure_is_recorded_whatever_its_policy() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(QUIET))
    desk.ends("loose[0]")
    desk.ends(bad=["sure[0]"])
    assert recorded(desk)[2:] == ["loose[0]", "sure[0]", "E"]


def test_a_visible_step_waits_until_all_it_rests_on_is_durable() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(SEEN, 0, 1))
    desk.commits()
    desk.ends("loose[0]")
    desk.ends("sure[0]")
    assert recorded(desk)[2:] == ["loose[0]"]
    assert "seen[0]" not in desk.sent
    desk.commits()
    assert "seen[0]" in desk.sent


def test_the_gate_counts_what_another_reader_had_recorded() -> None:
    """Found by the swarm: a child had the value recorded after the visible Step had taken its gate from it."""
    desk = wired(call(LOOSE), call(WIRES, 0, 0), call(SEEN, 0, 0))
    desk.commits()
    desk.ends("loose[0]")
    assert "wires[0]" in desk.bodies
    assert recorded(desk)[2:] == ["loose[0]"]
    assert "seen[0]" not in desk.sent


def test_visible_items_wait_for_what_their_chunk_takes() -> None:
    desk = wired(call(LOOSE), call(SEEN, 0, is_map=True), chunks=(chunk(1, 0, 1, 0),))
    desk.commits()
    desk.ends("loose[0]")
    assert desk.ranges == []
    desk.commits()
    assert desk.ranges == [(0, 1)]


def test_a_body_observes_its_parameters() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(WIRES, 0, 1))
    desk.ends("loose[0]")
    desk.ends("sure[0]")
    assert recorded(desk)[2:] == ["loose[0]", "sure[0]"]
    assert "wires[0]" in desk.bodies


def test_what_a_body_awaits_is_recorded_before_it_is_shown() -> None:
    desk = RunDesk()
    desk.makes("watches", call(LOOSE), call(SURE, 0, 0), awaits=(1,))
    desk.ends("loose[0]")
    assert recorded(desk) == ["S"]
    desk.ends("sure[0]")
    assert recorded(desk) == ["S", "loose[0]", "sure[0]"]
    assert [shown.call for shown in desk.delivered] == [1]


def test_an_outcome_takes_its_place_in_the_order_with_its_record() -> None:
    """A replay delivers in the order of the records: so does the first life."""
    desk = RunDesk()
    desk.makes("watches", call(LOOSE), call(QUIET))
    desk.ends("loose[0]")
    desk.ends("quiet[0]")
    desk.makes("watches", awaits=(0, 1))
    assert [shown.call for shown in desk.delivered] == [1], "what is on record comes first"
    desk.makes("watches", awaits=(0,))
    assert [shown.call for shown in desk.delivered] == [1, 0]
    desk.commits()
    desk.dies()
    desk.makes("watches", call(LOOSE), call(QUIET), awaits=(0, 1))
    desk.makes("watches", awaits=(0,))
    assert [shown.call for shown in desk.delivered] == [1, 0]


def test_of_an_async_bodys_call_nothing_but_its_record_tells() -> None:
    desk = RunDesk()
    desk.makes("watches", call(SURE), call(QUIET, 0, 0))
    desk.ends("sure[0]")
    assert recorded(desk) == ["S"]
    desk.ends("quiet[0]")
    assert recorded(desk) == ["S", "sure[0]", "quiet[0]"]


def test_a_body_that_ends_with_calls_open_leaves_what_they_take() -> None:
    desk = RunDesk()
    desk.makes("watches", call(LOOSE), call(SURE), call(LOOSE, 1), call(QUIET, 0, 0))
    desk.ends("loose[0]", "sure[0]", "loose[1]")
    desk.returns("watches", 1)
    assert recorded(desk) == ["S", "sure[0]", "loose[0]", "G"]
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["quiet[0]"]
    desk.ends("quiet[0]")
    assert recorded(desk)[-2:] == ["quiet[0]", "E"]


def test_a_childs_record_has_its_answer_and_what_that_rests_on() -> None:
    desk = wired(call(WIRES), call(QUIET, 0, 0))
    desk.makes("wires[0]", call(LOOSE), call(SURE, 0, 0), call(LOOSE, 1))
    desk.returns("wires[0]", 1)
    for step in ("loose[0]", "sure[0]", "loose[1]"):
        desk.ends(f"wires[0]/{step}")
    assert recorded(desk)[3:] == ["wires[0]/loose[0]", "wires[0]/sure[0]", "wires[0]"]
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["quiet[0]"], "of a child that has settled nothing is run again"
    desk.ends("quiet[0]")
    last = desk.rows[-1].records[-1]
    assert isinstance(last, Ended)
    assert last.status == "succeeded"


# ---------------------------------------------------------------------- bytes


def test_bytes_that_are_owed_are_kept_until_they_are_recorded() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(QUIET, 0, 1), call(QUIET, 1))
    desk.ends("loose[0]", value=thing(1))
    desk.ends("sure[0]", value=thing(2))
    assert desk.released == [], "nobody reads it any more, but its record may be wanted"
    desk.ends("quiet[0]")
    assert sorted(desk.released) == [1, 2]
    written = [o.outcome.value.data for o in outcomes(desk) if isinstance(o.outcome, Success)]
    assert thing(1) in written
    assert thing(2) not in written, "what is sure is not written"


def test_bytes_nobody_can_ask_for_any_more_go_with_the_childs_record() -> None:
    desk = wired(call(WIRES), call(QUIET, 0, 0))
    desk.makes("wires[0]", call(LOOSE), call(LOOSE, 1))
    desk.returns("wires[0]", 1)
    desk.ends("wires[0]/loose[0]", value=thing(1))
    desk.ends("wires[0]/loose[1]", value=thing(2))
    assert recorded(desk)[3:] == ["wires[0]/loose[1]", "wires[0]"]
    assert desk.released == [1]


def test_auto_writes_no_large_value_that_comes_again() -> None:
    desk = wired(call(AUTO), call(AUTO, 1, 0), call(AUTO, 2, 1), answer=(2,))
    desk.ends("auto[0]", value=thing(1))
    desk.ends("auto[1]")
    desk.ends("auto[2]", value=thing(3))
    assert recorded(desk)[2:] == ["auto[1]", "auto[2]", "E"], "small ones are kept, and the answer"
    assert desk.released == [1]


# ---------------------------------------------------------------------- maps


def test_items_without_records_are_recorded_by_whoever_rests_on_them() -> None:
    desk = wired(call(LOOSE, is_map=True), call(QUIET, 0, 0), call(QUIET, 1), chunks=(chunk(0, 0, 4),))
    desk.items_end("loose[0]", (0, 2))
    desk.items_end("loose[0]", (2, 4))
    assert recorded(desk) == ["S", "C", "G"]
    desk.ends("quiet[0]")
    assert recorded(desk)[3:] == ["loose[0]", "loose[0]", "quiet[0]"]
    ordinals = [r.ordinal for row in desk.rows for r in row.records if isinstance(r, ItemsSettled)]
    assert ordinals == [2, 3]
    desk.commits()
    desk.dies()
    assert desk.ranges == []


def test_a_map_that_fails_leaves_no_item_out() -> None:
    desk = RunDesk()
    desk.makes("watches", call(LOOSE, is_map=True), chunks=[chunk(0, 0, 4)], awaits=(0,))
    desk.items_end("loose[0]", (0, 2))
    assert recorded(desk) == ["S", "C"]
    desk.items_end("loose[0]", (3, 4), fails=[2])
    assert recorded(desk) == ["S", "C", "loose[0]", "loose[0]"]
    desk.commits()
    first = desk.delivered[0]
    desk.dies()
    desk.makes("watches", call(LOOSE, is_map=True), awaits=(0,))
    assert desk.ranges == []
    assert desk.delivered[0] == first


# ---------------------------------------------------------------------- crashes


def test_what_has_no_record_is_run_again_for_those_who_need_it_and_for_no_other() -> None:
    desk = wired(call(SURE), call(SURE, 1, 0), call(QUIET, 0, 1), call(SURE, 2), call(QUIET, 1, 3), call(QUIET, 2, 3))
    desk.ends("sure[0]", "sure[2]")
    desk.ends("sure[1]", "quiet[1]")
    desk.ends("quiet[0]")
    assert recorded(desk)[2:] == ["quiet[1]", "quiet[0]"]
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["sure[2]"], "sure[0] and sure[1] have given what was asked of them"
    desk.ends("sure[2]")
    assert list(desk.sent) == ["quiet[2]"]
    desk.ends("quiet[2]")
    assert recorded(desk)[-2:] == ["quiet[2]", "E"]


def test_what_nobody_takes_is_run_again() -> None:
    """It may not have run before: nothing tells."""
    desk = wired(call(SURE), call(QUIET))
    desk.ends("sure[0]")
    desk.commits()
    desk.dies()
    assert set(desk.sent) == {"sure[0]", "quiet[0]"}


def test_everything_unrecorded_that_rests_on_a_lost_outcome_is_run_again() -> None:
    desk = wired(call(LOOSE), call(LOOSE, 1, 0), call(STRICT, 0, 1))
    desk.ends("loose[0]")
    desk.ends("loose[1]")
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["loose[0]"]
    desk.ends("loose[0]")
    desk.ends("loose[1]")
    desk.ends("strict[0]")
    assert recorded(desk)[2:] == ["loose[0]", "loose[1]", "strict[0]", "E"]


def test_back_off_survives_while_a_value_is_made_again() -> None:
    desk = wired(call(SURE), call(TRIED, 0, 0))
    desk.ends("sure[0]")
    desk.ends(bad=["tried[0]"])
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["sure[0]"]
    desk.ends("sure[0]")
    assert list(desk.sent) == []
    desk.time_comes()
    assert desk.sent["tried[0]"].attempt == 2
    assert desk.now == pytest.approx(1010.0)


@pytest.mark.parametrize("late", [False, True])
def test_an_item_that_backs_off_waits_for_what_it_takes(late: bool) -> None:
    """Found by the swarm: its time came before its argument had been made again."""
    desk = wired(call(SURE), call(TRIED, 0, is_map=True), chunks=(chunk(1, 0, 1, 0),))
    desk.ends("sure[0]")
    desk.items_end("tried[0]", fails=[0])
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["sure[0]"]
    if late:
        desk.time_comes()
        assert desk.ranges == []
        desk.ends("sure[0]")
    else:
        desk.ends("sure[0]")
        assert desk.ranges == []
        desk.time_comes()
    assert desk.ranges == [(0, 1)]
    assert desk.items["tried[0]"].attempt == 2
    assert len(desk.items["tried[0]"].items.holes) == 1


def test_a_step_that_was_retried_and_has_no_record_is_skipped_too() -> None:
    desk = wired(call(AGAIN), call(QUIET, 0, 0), call(QUIET, 1))
    desk.ends(bad=["again[0]"])
    desk.time_comes()
    desk.ends("again[0]")
    desk.ends("quiet[0]")
    assert recorded(desk)[2:] == ["!again[0]", "quiet[0]"]
    desk.commits()
    desk.dies()
    assert list(desk.sent) == ["quiet[1]"]


def test_the_answer_of_an_ended_run_is_read_from_its_records_alone() -> None:
    desk = wired(call(SURE), call(WIRES), call(SURE, 1, 0), answer=(2, 1))
    desk.makes("wires[0]", call(LOOSE), call(SURE, 0, 0), call(LOOSE, 1, 1))
    desk.returns("wires[0]", 2)
    for step in ("sure[0]", "sure[1]", "wires[0]/loose[0]", "wires[0]/sure[0]", "wires[0]/loose[1]"):
        desk.ends(step)
    desk.commits()
    assert desk.end is not None
    assert RunMachine.answer_of(UID, desk.rows, desk.limits).answer == desk.end.answer
