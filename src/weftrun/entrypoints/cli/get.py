"""`weftrun get`."""

from __future__ import annotations

import click
from msgspec import Struct

from weftrun.entrypoints.cli.options import journal_options, rows_and_trace
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.model.outcomes import Status
from weftrun.model.records import Ended
from weftrun.views.progress import by_status
from weftrun.views.steps import StepsFold, StepView
from weftrun.views.units import duration

_ANSWERS_SHOWN_MAX = 5


class RunShown(Struct, frozen=True):
    """One Run.

    Attributes:
        started_at, ended_at: seconds since the epoch.
        preview: of the answer, as the guest wrote it.
        answer_of: Steps whose values stand in the answer of a Workflow, with their previews.
        steps: how many Steps and items of maps stand how.
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


@click.command("get")
@click.argument("run", metavar="ID")
@journal_options
def command(run: str, db: str | None, as_json: bool) -> None:
    """Show one Run: status, answer, error. Answers are shown as previews and not decoded."""
    info, rows, trace = rows_and_trace(db, run)
    fold = StepsFold.of(rows, trace)
    views = list(fold.views())
    answer = set(fold.calls.answer(views[0].id)) if info.status == "succeeded" else set()
    failure = next((r.failure for row in rows for r in row.records if isinstance(r, Ended)), None)
    shown = RunShown(
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
        info.takeovers,
    )
    if as_json:
        print_json(shown)
    else:
        _print(shown, views)


def _print(shown: RunShown, views: list[StepView]) -> None:
    took = f", took {duration(shown.ended_at - shown.started_at)}" if shown.ended_at is not None else ""
    print(f"Run {shown.id} of {shown.function}: {shown.status}")
    print(f"  started {clock(shown.started_at)}{took}")
    if len(views) > 1:
        print("  Steps and items: " + ", ".join(f"{count:,} {status}" for status, count in shown.steps.items()))
    if shown.preview:
        print(f"  answer: {shown_text(shown.preview)}")
    for step, preview in list(shown.answer_of.items())[:_ANSWERS_SHOWN_MAX]:
        print(f"  answer, from {step}: {shown_text(preview)}")
    if len(shown.answer_of) > _ANSWERS_SHOWN_MAX:
        print(f"  answer, from {len(shown.answer_of) - _ANSWERS_SHOWN_MAX:,} more Steps")
    if shown.traceback or shown.error:
        print(shown_text(shown.traceback.rstrip() or shown.error))
    if shown.status in ("pending", "running"):
        print(f"  If nothing runs it: weftrun resume {shown.id}")
