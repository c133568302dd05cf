"""The contract of the port Trace."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from weftrun.model.ids import StepId
from weftrun.ports.trace import Trace, TraceRow
from weftrun.testing.contracts.samples import AT, uid


def entry(run: int, number: int, text: str = "") -> TraceRow:
    """Return a row of a Run."""
    facts: dict[str, str | int | float] = {"size": number, "share": 0.5, "why": "age"}
    return TraceRow(uid(run), "batch", AT + number, StepId(f"count[{number}]"), 1, text, facts)


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

    def test_close_is_idempotent_and_a_closed_trace_keeps_quiet(self, reopen: Callable[[], Trace]) -> None:
        """An engine that ends may still have something to tell."""
        trace = reopen()
        trace.close()
        trace.close()
        trace.write([entry(1, 1)])
        assert trace.read(uid(1)) == []
