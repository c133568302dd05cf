"""What a Run says beforehand that it will want done when rows are durable: one Invocation, or nothing."""

from __future__ import annotations

from tests.machines.run_desk import LOOSE, QUIET, SEEN, STRICT, SURE, WIRES, RunDesk, call

from weftrun.model.events import CancelCame


def wired(*calls: object) -> RunDesk:
    """Return a Run whose `def` body has made these calls, with all rows durable."""
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", *calls)
    desk.returns("wires", len(calls) - 1)
    return desk


def test_the_one_step_behind_a_gate() -> None:
    desk = wired(call(SEEN))
    assert desk.comes_next() == ["seen[0]"]
    assert desk.sent == {}
    desk.commits()
    assert list(desk.sent) == ["seen[0]"]
    assert desk.comes_next() == []


def test_a_visible_reader_of_a_row() -> None:
    desk = wired(call(QUIET), call(SEEN, 0, 0))
    desk.commits()
    desk.ends("quiet[0]")
    assert desk.comes_next() == ["seen[0]"]


def test_the_reader_of_a_sync_value() -> None:
    desk = wired(call(STRICT), call(QUIET, 0, 0))
    desk.commits()
    desk.ends("strict[0]")
    assert desk.comes_next() == ["quiet[0]"]
    desk.commits()
    assert list(desk.sent) == ["quiet[0]"]


def test_nothing_where_more_than_one_follows() -> None:
    assert wired(call(SEEN), call(SEEN, 1)).comes_next() == []
    desk = wired(call(STRICT), call(QUIET, 0, 0), call(QUIET, 1, 0))
    desk.commits()
    desk.ends("strict[0]")
    assert desk.comes_next() == []


def test_nothing_where_the_reader_waits_for_more() -> None:
    desk = wired(call(STRICT), call(QUIET), call(QUIET, 1, 0, 1))
    desk.commits()
    desk.ends("strict[0]")
    assert desk.comes_next() == []


def test_nothing_behind_a_row_that_is_not_committed_yet() -> None:
    desk = wired(call(QUIET), call(SEEN, 0, 0))
    desk.ends("quiet[0]")
    assert desk.machine.comes_next(len(desk.rows) - 1) is None


def test_nothing_while_records_are_owed() -> None:
    desk = wired(call(LOOSE), call(SURE, 0, 0), call(SEEN, 0, 1))
    desk.commits()
    desk.ends("loose[0]")
    desk.ends("sure[0]")
    assert desk.comes_next() == []


def test_nothing_of_a_run_that_is_cancelled() -> None:
    desk = wired(call(SEEN))
    desk.tell(CancelCame(desk.now, "message"))
    assert desk.comes_next() == []
