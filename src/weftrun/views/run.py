"""One Run as it stands: status, answer, error, counts, and who has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.views.handovers import handovers
from weftrun.views.lives import unfit_now
from weftrun.views.progress import apart, by_status
from weftrun.views.running import OwnerView, RunningView
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.trace import SignalAwaited, Traced, awaited_signals


class Listed(Protocol):
    """What a listing of Runs tells of one. Stated here by shape, because views do not see ports."""

    @property
    def id(self) -> str:
        """Return the author's name of the Run."""

    @property
    def uid(self) -> str:
        """Return its own name."""

    @property
    def function(self) -> str:
        """Return the name of its Function."""

    @property
    def status(self) -> Status:
        """Return how it stands."""

    @property
    def started_at(self) -> float:
        """Return when it was started, in seconds since the epoch."""

    @property
    def ended_at(self) -> float | None:
        """Return when it ended, in seconds since the epoch, or None."""

    @property
    def epoch(self) -> int:
        """Return how often it has passed to an engine."""

    @property
    def lives(self) -> int:
        """Return how often it was begun."""

    @property
    def due_at(self) -> float:
        """Return when it is due, where it only waits."""

    @property
    def waiting_for(self) -> str | None:
        """Return what it stands still for."""

    @property
    def queue(self) -> str:
        """Return the queue that it was started in."""


class RunShown(Struct, frozen=True):
    """One Run.

    Attributes:
        started_at, ended_at: seconds since the epoch.
        preview: of the answer, as the guest wrote it.
        answer_of: Steps whose values stand in the answer of a Workflow, with their previews.
        steps: how many Steps and items of maps stand how, the items in the place of their map.
        takeovers: how often an engine has taken it from one that was gone, in all.
        epoch: how often it has passed to an engine, the first included; raised by take-overs and by waking it.
        whole_steps, items: how many Steps stand how, a map being one; and how many items of maps.
        owner: the engine that has it.
        due_at: when it is due, where it only waits and no engine has it; seconds since the epoch, else 0.
        running: what its engine saw running when it looked last.
        lives: how often it was begun: 1, and once more for each time it was retried.
        waiting_for: what it stands still for: `code`, `signal NAME`, `sleep`, `queue NAME`, or None.
        unfit: of code that does not fit it: why not, the call on record, and the one that is made now.
        queue: that it was started in; empty where it was in none.
        awaits: the signals that it stands still for, with the types that the workflow reads them as.
    """

    id: str
    uid: str
    function: str
    status: Status
    started_at: float
    ended_at: float | None
    preview: str
    answer_of: dict[str, str]
    error: str
    traceback: str
    steps: dict[str, int]
    takeovers: int
    epoch: int
    whole_steps: dict[str, int]
    items: dict[str, int]
    owner: OwnerView | None
    due_at: float
    running: list[RunningView]
    lives: int
    waiting_for: str | None
    unfit: dict[str, str]
    queue: str = ""
    awaits: list[SignalAwaited] = []


def run_shown(
    info: Listed,
    rows: Sequence[Row],
    trace: Sequence[Traced],
    fold: StepsFold,
    views: list[StepView],
    running: Sequence[RunningView],
    owner: OwnerView | None,
) -> RunShown:
    """Return what there is to tell of a Run; `fold` is of all the rest, and `views` are its Steps, the root first."""
    answer = set(fold.calls.answer(views[0].id)) if info.status == "succeeded" else set()
    failure = fold.ended.failure if fold.ended is not None else None
    unfit = unfit_now(rows)
    return RunShown(
        info.id,
        info.uid,
        info.function,
        info.status,
        info.started_at,
        info.ended_at,
        views[0].preview,
        {view.id: view.preview for view in views if view.id in answer},
        views[0].error,
        failure.traceback if failure is not None else "",
        by_status(views),
        sum(over.is_takeover for over in handovers(rows, trace)),
        info.epoch,
        *apart(views),
        owner,
        info.due_at if info.ended_at is None and info.due_at < UNTIL_TOLD else 0.0,
        list(running),
        info.lives,
        info.waiting_for,
        {"why": unfit.failure.message, "recorded": unfit.recorded, "made": unfit.made} if unfit is not None else {},
        info.queue,
        awaited_signals(info.waiting_for, trace),
    )
