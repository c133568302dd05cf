"""A Step with a transaction (T1): entered once the Run is there, and read once its record is."""

from __future__ import annotations

from tests.machines.run_desk import QUIET, SEEN, WIRES, WRITES, RunDesk, call


def test_it_waits_for_the_start_alone() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(WRITES, 0, 0))
    desk.returns("wires", 1)
    desk.ends("quiet[0]")
    assert "writes[0]" not in desk.sent
    desk.committed = 1
    desk.tell_committed(1)
    assert "writes[0]" in desk.sent, "neither the graph nor what it takes is durable"


def test_nobody_reads_it_before_its_record() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(WRITES), call(QUIET, 0, 0), call(SEEN, 0, 0))
    desk.returns("wires", 1, 2)
    desk.commits()
    desk.ends("writes[0]")
    assert set(desk.sent) == set()
    desk.commits()
    assert set(desk.sent) == {"quiet[0]", "seen[0]"}


def test_an_entered_body_that_is_lost_is_entered_again_though_no_retries_were_asked_for() -> None:
    desk = RunDesk(WRITES)
    desk.commits()
    assert desk.sent["writes"].attempt == 1
    desk.dies()
    assert desk.sent["writes"].attempt == 1
