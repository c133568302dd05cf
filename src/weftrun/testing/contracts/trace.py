"""The contract of the port Trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from weftrun.model.ids import StepId
from weftrun.ports.trace import RunningRow, Trace, TraceRow, WaitRow, WorkerRow
from weftrun.testing.contracts.samples import AT, uid


def entry(run: int, number: int, text: str = "") -> TraceRow:
    """Return a row of a Run."""
    facts: dict[str, str | int | float] = {"size": number, "share": 0.5, "why": "age"}
    return TraceRow(uid(run), "batch", AT + number, StepId(f"count[{number}]"), 1, text, facts)


def seen(run: int, number: int, text: str = "", *, pid: int = 1) -> RunningRow:
    """Return what one engine saw running."""
    return RunningRow(uid(run), StepId(f"count[{number}]"), 1, 2, AT + number, AT + 10, "box", pid, text)


class TraceContract:
    """Subclasses give the fixture `reopen`: each call closes what it gave before and opens the same storage again."""

    @pytest.fixture
    def reopen(self) -> Callable[[], Trace]:
        """Return what opens the trace under test."""
        raise NotImplementedError

    def test_rows_come_back_in_order(self, reopen: Callable[[], Trace]) -> None:
        """Each Run has its own."""
        trace = reopen()
        trace.write([entry(1, 1), entry(2, 2), entry(1, 3)])
        trace.write([])
        trace.write([entry(1, 0, "höher\n")])
        rows = [entry(1, 1), entry(1, 3), entry(1, 0, "höher\n")]
        assert trace.read(uid(1)) == rows
        assert reopen().read(uid(1)) == rows
        assert reopen().read(uid(2)) == [entry(2, 2)]
        assert reopen().read(uid(3)) == []

    def test_delete_forgets_one_run(self, reopen: Callable[[], Trace]) -> None:
        """And no other."""
        trace = reopen()
        trace.write([entry(1, 1), entry(2, 2)])
        trace.delete(uid(1))
        trace.delete(uid(3))
        assert trace.read(uid(1)) == []
        assert trace.read(uid(2)) == [entry(2, 2)]

    def test_what_runs_takes_the_place_of_what_ran(self, reopen: Callable[[], Trace]) -> None:
        """An engine says all that it sees, of all Runs, each time."""
        trace = reopen()
        assert trace.running(uid(1)) == []
        trace.show_running("a", [seen(1, 2), seen(2, 1), seen(1, 1, "höher\n")])
        assert trace.running(uid(1)) == [seen(1, 1, "höher\n"), seen(1, 2)]
        assert trace.running(uid(2)) == [seen(2, 1)]
        trace.show_running("a", [seen(1, 3)])
        assert reopen().running(uid(1)) == [seen(1, 3)]
        assert reopen().running(uid(2)) == []
        trace = reopen()
        trace.show_running("a", [])
        assert trace.running(uid(1)) == []
        assert trace.read(uid(1)) == []

    def test_what_a_dead_engine_saw_stays_until_another_one_has_the_run(self, reopen: Callable[[], Trace]) -> None:
        """Then its text becomes rows, with the time when it was seen last."""
        trace = reopen()
        trace.show_running("dead", [seen(1, 1, "half a line"), seen(2, 1)])
        trace.show_running("b", [seen(3, 1, pid=2)])
        assert trace.running(uid(1)) == [seen(1, 1, "half a line")]
        trace.end_running(uid(1))
        trace.end_running(uid(4))
        assert trace.running(uid(1)) == []
        assert trace.read(uid(1)) == [TraceRow(uid(1), "text", AT + 10, StepId("count[1]"), 1, "half a line")]
        assert trace.running(uid(2)) == [seen(2, 1)]
        assert trace.running(uid(3)) == [seen(3, 1, pid=2)]

    def test_delete_forgets_what_was_seen_running(self, reopen: Callable[[], Trace]) -> None:
        """And of no other Run."""
        trace = reopen()
        trace.show_running("a", [seen(1, 1), seen(2, 1)])
        trace.delete(uid(1))
        assert trace.running(uid(1)) == []
        assert trace.running(uid(2)) == [seen(2, 1)]

    def test_workers_are_those_that_an_engine_named_last(self, reopen: Callable[[], Trace]) -> None:
        """Each engine says all that it has, each time."""
        trace = reopen()
        assert trace.workers() == {}
        one, two = WorkerRow(1, 4, AT, AT, "höst", 12, 3, 4_000, 500), WorkerRow(2, 4, AT)
        trace.show_workers("a", [one, two])
        trace.show_workers("b", [two])
        trace = reopen()
        assert trace.workers() == {"a": [one, two], "b": [two]}
        trace.show_workers("a", [two])
        trace.show_workers("b", [])
        assert reopen().workers() == {"a": [two]}

    def test_waits_are_those_that_an_engine_named_last(self, reopen: Callable[[], Trace]) -> None:
        """Each engine says all that it has, each time; what is deleted is forgotten."""
        trace = reopen()
        assert trace.waits() == []
        one, two = WaitRow(uid(1), "signal höher", AT, 12), WaitRow(uid(2), "sleep", AT, 13)
        trace.show_waits("a", [one])
        trace.show_waits("b", [two])
        trace = reopen()
        assert trace.waits() == [one, two]
        trace.show_waits("a", [])
        assert reopen().waits() == [two]
        reopen().delete(uid(2))
        assert reopen().waits() == []

    def test_close_is_idempotent_and_a_closed_trace_keeps_quiet(self, reopen: Callable[[], Trace]) -> None:
        """An engine that ends may still have something to tell."""
        trace = reopen()
        trace.close()
        trace.close()
        trace.write([entry(1, 1)])
        trace.show_running("a", [seen(1, 1)])
        assert trace.read(uid(1)) == []
        assert trace.running(uid(1)) == []
