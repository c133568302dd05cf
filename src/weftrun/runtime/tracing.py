"""What goes into the trace: which Batch went where, what Attempts printed, and notes for the story."""

from __future__ import annotations

from collections.abc import Callable

from weftrun.model.commands import LeftOut
from weftrun.model.ids import RunUid, StepId
from weftrun.model.work import BatchSent, Fact, Said
from weftrun.ports.loop import Loop
from weftrun.ports.trace import Trace, TraceRow
from weftrun.runtime.runs import OpenRun

_BATCHES_NOTED_MAX = 2_000
"""Batches of one Run, and Steps of it without a record, that the trace tells of."""
_TRACE_S = 0.2
"""Rows are written this often."""


class Tracing:
    """Gathers rows of the trace and writes them outside the loop, now and then. Nothing rests on them."""

    def __init__(self, loop: Loop, trace: Trace) -> None:
        self._loop = loop
        self._trace = trace
        self._rows: list[TraceRow] = []

    def note(self, run: RunUid, sentence: str, **facts: Fact) -> None:
        """Let the story of a Run tell this, if it is anything."""
        if sentence or facts:
            self._keep(TraceRow(run, "note", self._loop.now(), StepId(""), 0, sentence, facts))

    def printed(self, run: OpenRun, said: Said) -> None:
        """Keep what an Attempt printed."""
        if run.durable:
            self._keep(TraceRow(run.uid, "text", self._loop.now(), said.step, said.attempt, said.text))

    def batch(self, run: OpenRun, sent: BatchSent) -> None:
        """Keep that a Batch went, for the first thousands of each Run, and its Sandbox where that has just begun."""
        if not run.durable or run.noted >= _BATCHES_NOTED_MAX:
            return
        run.noted += 1
        now = self._loop.now()
        if sent.fresh is not None:
            began = {"sandbox": sent.sandbox, **sent.fresh}
            self._keep(TraceRow(run.uid, "sandbox", now, StepId(""), 0, "it began", began))
        facts: dict[str, Fact] = {
            "sandbox": sent.sandbox,
            "function": sent.function,
            "size": sent.size,
            "gated": run.new_waits(),
        }
        self._keep(TraceRow(run.uid, "batch", now, sent.step, sent.attempt, "a Sandbox could take it", facts))

    def left_out(self, run: OpenRun, left: LeftOut) -> None:
        """Keep what ran and has no record, for the first thousands of each Run."""
        if run.left_out < _BATCHES_NOTED_MAX:
            run.left_out += 1
            ran = left.ran
            facts: dict[str, Fact] = {"sandbox": ran.sandbox, "entered": ran.entered_at}
            facts |= {"left": ran.left_at, "bytes": left.nbytes, "items": left.items, "preview": ran.preview}
            self._keep(TraceRow(run.uid, "unrecorded", self._loop.now(), left.step, left.attempt, left.why, facts))

    def write(self, written: Callable[[], None] = lambda: None) -> None:
        """Write what was gathered, outside the loop; then call `written`."""
        rows, self._rows = self._rows, []
        self._loop.offload(lambda: self._trace.write(rows), written, lane="trace")

    def _keep(self, row: TraceRow) -> None:
        self._rows.append(row)
        if len(self._rows) == 1:
            self._loop.call_at(self._loop.now() + _TRACE_S, self.write)
