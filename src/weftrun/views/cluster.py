"""Which engines there are on a Journal, on which Workers their Functions run, and what runs there now."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.model.ids import RunId, StepId
from weftrun.model.warm import WarmCounts
from weftrun.views.running import RunningView


class RunsThere(Struct, frozen=True):
    """The body of one Attempt that runs on a Worker.

    Attributes:
        entered_at: in seconds since the epoch.
        sandbox: number of the Sandbox, in its engine.
    """

    run: RunId
    step: StepId
    attempt: int
    entered_at: float
    sandbox: int


class WorkerView(Struct, frozen=True):
    """A Worker, or the engine's own process.

    Attributes:
        worker: its number; 0 is the engine's own process, where bodies of workflows run, and all where it has no other.
        host: name of its host; empty where that is not known.
        sandboxes: how many it has now; None where nobody has told.
        sandboxes_max: how many Functions it runs at once; None where nobody has told.
        memory_bytes: of its process and all below it; None where nobody has told.
        object_bytes: of values that it keeps; None where nobody has told.
        warm: what it tells of Sandboxes that wait for work; None where nobody has told.
        heard_at: when it last gave a sign of life, in seconds since the epoch; None where it never did.
    """

    worker: int
    host: str
    pid: int
    sandboxes: int | None
    sandboxes_max: int | None
    memory_bytes: int | None
    object_bytes: int | None
    heard_at: float | None
    running: list[RunsThere] = []
    warm: WarmCounts | None = None


class EngineView(Struct, frozen=True):
    """An engine that has a session on the Journal and has not ended, as far as can be told from here.

    Attributes:
        here: whether it runs on this host; of others nothing is known here but how many Runs they have.
        runs: open Runs that it owns.
    """

    pid: int
    here: bool
    runs: int
    workers: list[WorkerView]


def with_running(
    workers: Sequence[WorkerView], running: Sequence[tuple[RunId, RunningView]]
) -> list[WorkerView]:  # fmt: skip
    """Return the Workers of one engine, each with what runs there.

    What runs was seen a second ago, and Sandboxes were counted some seconds before: it has as many as run something.
    """
    there: dict[int, list[RunsThere]] = {}
    for run, view in running:
        body = RunsThere(run, view.step, view.attempt, view.entered_at, view.sandbox)
        there.setdefault(view.sandbox // SANDBOXES_EACH, []).append(body)
    return [_with(worker, there.get(worker.worker, [])) for worker in workers]


def _with(worker: WorkerView, running: list[RunsThere]) -> WorkerView:
    counted = worker.sandboxes
    if counted is not None:
        counted = max(counted, len({body.sandbox for body in running}))
    return replace(worker, sandboxes=counted, running=running)
