"""What goes into the trace: which Batch went where, what Attempts printed, and notes for the story."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import msgspec

from weftrun.model.commands import LeftOut
from weftrun.model.events import Handed
from weftrun.model.ids import RunUid, SandboxId, StepId
from weftrun.model.outcomes import Outcome
from weftrun.model.work import BatchSent, Came, Fact, Running, Said
from weftrun.ports.loop import Loop
from weftrun.ports.trace import RunningRow, Trace, TraceRow
from weftrun.runtime.runs import OpenRun

_BATCHES_NOTED_MAX = 2_000
"""Batches of one Run, and Steps of it without a record, that the trace tells of."""
_HOST = os.uname().nodename
_TRACE_S = 0.2
"""Rows are written this often."""
_SOON_S = 0.002
"""Rows that tell of what may happen outside are written within this."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Handed).decode


def engine_name() -> str:
    """Return what the trace calls the engine of this process."""
    return f"{_HOST}:{os.getpid()}"


class Tracing:
    """Gathers rows of the trace and writes them outside the loop, now and then. Nothing rests on them."""

    def __init__(self, loop: Loop, trace: Trace) -> None:
        self._loop = loop
        self._trace = trace
        self._pid = os.getpid()
        self._engine = f"engine {self._pid} on {_HOST}"
        self._rows: list[TraceRow] = []
        self._due = 0.0

    def note(self, run: RunUid, sentence: str, **facts: Fact) -> None:
        """Let the story of a Run tell this, if it is anything."""
        if sentence or facts:
            self._keep(TraceRow(run, "note", self._loop.now(), StepId(""), 0, sentence, facts))

    def has(self, run: OpenRun, *, waited: bool) -> None:
        """Keep that this engine has a Run which another one began, and whether nobody had it since it only waited."""
        uid = run.uid
        self._loop.offload(lambda: self._trace.end_running(uid), lambda: None, lane="trace")
        self.note(uid, "", epoch=run.epoch, waited=int(waited), engine=self._engine)

    def leaves(self, run: OpenRun) -> None:
        """Keep that this engine is closed in good order before the end of a Run."""
        self.note(run.uid, "", left=self._engine)

    def running(self, rows: Sequence[RunningRow]) -> None:
        """Let the trace show what runs; it takes the place of what it has shown of this engine."""
        engine = engine_name()
        self._loop.offload(lambda: self._trace.show_running(engine, rows), lambda: None, lane="trace")

    def running_row(self, run: OpenRun, row: Running) -> RunningRow:
        """Return what is shown of something that runs."""
        return RunningRow(
            run.uid,
            row.step,
            row.attempt,
            row.sandbox,
            row.entered_at,
            row.seen_at,
            _HOST,
            self._pid,
            row.text,
            row.piped,
        )

    def told(self, run: OpenRun, outcome: Outcome) -> None:
        """Keep what an Attempt printed before it ended, and what the story is to tell of it."""
        step, sandbox = run.machine.state.steps[outcome.step].id, SandboxId(outcome.ran.sandbox)
        text, note, moved = outcome.text, outcome.note, outcome.moved
        self.printed(run, Said(run.number, step, outcome.attempt, sandbox, text, note=note, moved=moved))

    def printed(self, run: OpenRun, said: Said) -> None:
        """Keep what an Attempt printed, and what the story is to tell of it."""
        if run.durable and said.note:
            self._keep(TraceRow(run.uid, "note", self._loop.now(), said.step, said.attempt, said.note))
        moved = said.moved
        if run.durable and moved is not None and run.moves < _BATCHES_NOTED_MAX:
            run.moves += 1
            amounts: dict[str, Fact] = {"read_bytes": moved.read_bytes, "read_s": moved.read_s}
            amounts |= {"written_bytes": moved.written_bytes, "written_s": moved.written_s}
            if moved.clients:
                amounts |= {"clients_made": moved.clients[0], "clients_used": moved.clients[1]}
            self._keep(TraceRow(run.uid, "moved", self._loop.now(), said.step, said.attempt, "", amounts))
        for taken in said.takes if run.durable and run.handed < _BATCHES_NOTED_MAX else ():
            run.handed += 1
            named: dict[str, Fact] = {"signal": taken.signal}
            self._keep(TraceRow(run.uid, "takes", self._loop.now(), said.step, said.attempt, taken.schema, named))
        if run.durable and said.text:
            facts: dict[str, Fact] = {}
            if said.said >= 0:
                facts["from"] = said.said
            if said.printed:
                facts["items"] = " ".join(f"{index}:{length}" for index, length in said.printed)
            self._keep(TraceRow(run.uid, "text", self._loop.now(), said.step, said.attempt, said.text, facts))

    def came(self, run: OpenRun, came: Came) -> None:
        """Keep that an Object came to the host of a Worker, for the first thousands of each Run."""
        steps = run.machine.state.steps
        if not run.durable or run.came >= _BATCHES_NOTED_MAX or not 0 <= came.step < len(steps):
            return
        run.came += 1
        facts: dict[str, Fact] = {"worker": came.worker, "source": came.source, "bytes": came.nbytes}
        facts |= {"began": came.began_at, "came": came.at}
        self._keep(TraceRow(run.uid, "came", self._loop.now(), steps[came.step].id, 0, "", facts))

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
        if facts["gated"]:
            facts["gated_s"] = run.new_wait_s()
        if sent.host:
            facts["host"] = sent.host
        if run.noted == 1:
            facts["engine"] = self._engine
        self._keep(TraceRow(run.uid, "batch", now, sent.step, sent.attempt, "a Sandbox could take it", facts))

    def handed(self, run: OpenRun, step: int) -> None:
        """Keep which calls of async bodies were handed to a Worker, for the first thousands of each Run.

        A visible one may have happened when the engine dies, so that row is written soon.
        """
        if not run.durable or run.handed >= _BATCHES_NOTED_MAX:
            return
        for handed in run.machine.newly_handed(step):
            run.handed += 1
            facts: dict[str, Fact] = {"call": _encode(handed).decode()}
            row = TraceRow(run.uid, "call", self._loop.now(), handed.step, 0, "", facts)
            self._keep(row, _SOON_S if handed.visible else _TRACE_S)

    def handed_before(self, run: RunUid, told: Callable[[list[Handed]], None]) -> None:
        """Tell of the calls of a Run that any engine has handed to a Worker, as far as they were kept."""
        found: list[Handed] = []

        def read() -> None:
            found.extend(_decode(str(row.facts["call"])) for row in self._trace.read(run) if row.kind == "call")

        self.write()
        self._loop.offload(read, lambda: told(found), lane="trace")

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
        rows, self._rows, self._due = self._rows, [], 0.0
        self._loop.offload(lambda: self._trace.write(rows), written, lane="trace")

    def _keep(self, row: TraceRow, within_s: float = _TRACE_S) -> None:
        self._rows.append(row)
        due = self._loop.now() + within_s
        if not self._due or due < self._due:
            self._due = due
            self._loop.call_at(due, self._write_due)

    def _write_due(self) -> None:
        if self._rows and self._due <= self._loop.now():
            self.write()
