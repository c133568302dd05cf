"""The trace: what people like to see and nobody's correctness rests on. Not synced; lost rows are told as lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.ids import RunUid, StepId
from weftrun.model.warm import WarmCounts


class TraceRow(Struct, frozen=True, array_like=True):
    """One entry.

    Attributes:
        kind: `text` (what an Attempt printed), `batch` (Invocations given to a Sandbox), `call` (one of an async body
            handed to a Worker, which has no record yet), `sandbox` (one began or ended), `unrecorded` (a success
            without a record, C3), `moved` (Objects that an Attempt took and made), `came` (an Object of a Step's value
            came to the host of a Worker), `takes` (of which type a body awaits a signal), `note` (a decision and its
            reason).
        at: seconds since the epoch.
        step: empty where it concerns the Run.
        facts: for machines and views; keys are documented at `views.story`.
    """

    run: RunUid
    kind: str
    at: float
    step: StepId
    attempt: int
    text: str = ""
    facts: dict[str, str | int | float] = {}


class RunningRow(Struct, frozen=True, array_like=True):
    """What an engine saw running when it looked last: the body of one Attempt.

    Attributes:
        step: the Step, or the item of a map.
        sandbox: number of the Sandbox, in its engine.
        entered_at: seconds since the epoch.
        seen_at: when its engine looked, in seconds since the epoch.
        host: name of the engine's host.
        pid: of the engine's process.
        text: what the body has printed so far through `sys.stdout` and `sys.stderr`, bounded.
        piped: what came over descriptors 1 and 2 meanwhile (programs that it started), bounded.
    """

    run: RunUid
    step: StepId
    attempt: int
    sandbox: int
    entered_at: float
    seen_at: float
    host: str
    pid: int
    text: str = ""
    piped: str = ""


class WorkerRow(Struct, frozen=True, array_like=True):
    """A Worker of an engine, as that saw it when it looked last.

    Attributes:
        worker: its number.
        sandboxes_max: how many Functions it runs at once.
        seen_at: when the engine looked, in seconds since the epoch.
        heard_at: when the Worker last gave a sign of life; 0 where it never did, and has told nothing of itself.
        warm: of the engine's own Worker, which is number 0 and says nothing else: what it tells of its Sandboxes.
        host, pid, sandboxes, memory_bytes, object_bytes: see `model.hosts.WorkerAbout`.
    """

    worker: int
    sandboxes_max: int
    seen_at: float
    heard_at: float = 0.0
    host: str = ""
    pid: int = 0
    sandboxes: int = 0
    memory_bytes: int = 0
    object_bytes: int = 0
    warm: WarmCounts | None = None


class WaitRow(Struct, frozen=True, array_like=True):
    """What a Run that an engine holds in memory waits for, as it saw it when it looked last.

    Attributes:
        what: for people; see `RunInfo.waiting_for`.
        seen_at: when the engine saw it first, in seconds since the epoch.
        pid: of the engine's process.
    """

    run: RunUid
    what: str
    seen_at: float
    pid: int


def text_of(row: RunningRow) -> TraceRow:
    """Return the row that keeps what a body had printed when its engine was seen last."""
    return TraceRow(row.run, "text", row.seen_at, row.step, row.attempt, row.text + row.piped)


class Trace(Protocol):
    """Keeps rows in order of writing. Blocking; a failure to write is swallowed after one warning.

    Beside them it keeps what each engine saw running last. That is no history: it takes the place of what the engine
    had said before, and stays as it is where the engine dies, until another one has the Run.
    """

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows."""

    def read(self, run: RunUid) -> list[TraceRow]:
        """Return the rows of a Run in order of writing."""

    def show_running(self, engine: str, rows: Sequence[RunningRow]) -> None:
        """Say what an engine sees running of all its Runs, in the place of what it said before.

        `engine` names it among all that use this trace.
        """

    def end_running(self, run: RunUid) -> None:
        """Say that what was seen running of a Run runs no more, since its engine is gone.

        What had been printed is kept: of each body a row `text`, with the time when it was seen last.
        """

    def running(self, run: RunUid) -> list[RunningRow]:
        """Return what was seen running of a Run, in the order in which it was entered."""

    def show_workers(self, engine: str, rows: Sequence[WorkerRow]) -> None:
        """Say which Workers an engine has, in the place of what it said before."""

    def workers(self) -> dict[str, list[WorkerRow]]:
        """Return by engine which Workers it has said to have last."""

    def show_waits(self, engine: str, rows: Sequence[WaitRow]) -> None:
        """Say what Runs wait for that an engine holds in memory, in the place of what it said before."""

    def waits(self) -> list[WaitRow]:
        """Return what Runs were seen waiting for last, of all engines."""

    def delete(self, run: RunUid) -> None:
        """Forget the rows of a Run, and what was seen running of it."""

    def close(self) -> None:
        """Release the file. Idempotent."""
