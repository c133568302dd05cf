"""A Run that keeps no record (N3): every gate is open, and no row leaves the machine."""

from __future__ import annotations

from tests.machines.run_desk import LOOSE, QUIET, SEEN, STRICT, TRIED, WIRES, RunDesk, call, chunk, thing


def test_nothing_waits_for_a_row_and_there_is_none() -> None:
    desk = RunDesk(WIRES, durable=False)
    desk.makes("wires", call(QUIET), call(SEEN, 0, 0), call(STRICT, 0, 1), call(SEEN, 1, 2))
    desk.returns("wires", 3)
    for step in ("quiet[0]", "seen[0]", "strict[0]", "seen[1]"):
        desk.ends(step)
    assert desk.rows == []
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_the_answer_is_given_once() -> None:
    desk = RunDesk(WIRES, durable=False)
    desk.makes("wires", call(QUIET), call(SEEN))
    desk.returns("wires", 0)
    desk.ends("quiet[0]")
    desk.ends(bad=["seen[0]"])
    assert desk.end is not None
    assert desk.end.status == "failed"
    desk.end = None
    desk.time_comes()
    assert desk.end is None


def test_retries_replays_and_maps_are_as_ever() -> None:
    desk = RunDesk(durable=False)
    desk.makes("watches", call(TRIED), call(LOOSE, is_map=True), chunks=[chunk(1, 0, 2)], awaits=(0,))
    desk.ends(bad=["tried[0]"])
    desk.time_comes()
    desk.ends("tried[0]")
    assert [shown.call for shown in desk.delivered] == [0]
    desk.loses("watches")
    desk.makes("watches", call(TRIED), call(LOOSE, is_map=True), awaits=(0,))
    assert [shown.call for shown in desk.delivered] == [0, 0]
    desk.makes("watches", awaits=(1,))
    desk.items_end("loose[0]", (0, 2))
    assert [shown.call for shown in desk.delivered] == [0, 0, 1]
    desk.returns("watches", 1)
    assert desk.rows == []
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_values_are_released_when_they_have_been_read() -> None:
    desk = RunDesk(WIRES, durable=False)
    desk.makes("wires", call(LOOSE), call(QUIET, 0, 0), call(QUIET, 1, 1))
    desk.returns("wires", 2)
    desk.ends("loose[0]", value=thing(1))
    desk.ends("quiet[0]", value=thing(2))
    assert desk.released == [1], "a record that never comes holds nothing"
    desk.ends("quiet[1]")
    assert desk.released == [1, 2]
