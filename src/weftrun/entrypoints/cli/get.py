"""`weftrun get`."""

from __future__ import annotations

import click
from msgspec import Struct

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.now import doing, owner_sentence
from weftrun.entrypoints.cli.options import Look, journal_options, look, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.terminal import one_line, shown_text
from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.outcomes import Status
from weftrun.views.handovers import handovers
from weftrun.views.lives import unfit_now
from weftrun.views.progress import apart, by_status, counted
from weftrun.views.running import OwnerView, RunningView
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.units import count_of, duration

_ANSWERS_SHOWN_MAX = 5
_AT_WORK_SHOWN_MAX = 8


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
        waiting_for: what it stands still for: `code`, `signal NAME`, `sleep`, or None.
        unfit: of code that does not fit it: why not, the call on record, and the one that is made now.
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


@click.command("get")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
def command(run: str, db: str | None, as_json: bool) -> None:
    """Show one Run: status, answer, error. Answers are shown as previews and not decoded."""
    with reading(db) as reader:
        seen = look(reader, run)
    info, rows, trace = seen.info, seen.rows, seen.trace
    fold = StepsFold.of(rows, trace, seen.running)
    views = list(fold.views())
    answer = set(fold.calls.answer(views[0].id)) if info.status == "succeeded" else set()
    failure = fold.ended.failure if fold.ended is not None else None
    unfit = unfit_now(rows)
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
        sum(over.is_takeover for over in handovers(rows, trace)),
        info.epoch,
        *apart(views),
        seen.owner,
        info.due_at if info.ended_at is None and info.due_at < UNTIL_TOLD else 0.0,
        seen.running,
        info.lives,
        info.waiting_for,
        {"why": unfit.failure.message, "recorded": unfit.recorded, "made": unfit.made} if unfit is not None else {},
    )
    if as_json:
        print_json(shown)
    else:
        _print(shown, views, seen)


def _print(shown: RunShown, views: list[StepView], seen: Look) -> None:
    if shown.ended_at is not None:
        took = f", took {duration(shown.ended_at - shown.started_at)}"
    else:
        took = f", {duration(max(0.0, seen.at - shown.started_at))} ago"
    print(f"Run {shown.id} of {shown.function}: {shown.status}")
    print(f"  started {clock(shown.started_at)}{took}")
    if sentence := owner_sentence(seen.info, seen.owner, seen.at):
        print(f"  {sentence}")
    if shown.takeovers:
        print(f"  taken over {count_of(shown.takeovers, 'time')} (epoch {shown.epoch})")
    _print_life(shown)
    if len(views) > 1:
        print(f"  {counted(shown.whole_steps, shown.items)}")
    _print_work(views, seen)
    if shown.preview:
        print(f"  answer: {shown_text(shown.preview)}")
    for step, preview in list(shown.answer_of.items())[:_ANSWERS_SHOWN_MAX]:
        print(f"  answer, from {step}: {shown_text(preview)}")
    if len(shown.answer_of) > _ANSWERS_SHOWN_MAX:
        print(f"  answer, from {len(shown.answer_of) - _ANSWERS_SHOWN_MAX:,} more Steps")
    if shown.traceback or shown.error:
        print(shown_text(shown.traceback.rstrip() or shown.error))
    if shown.status in ("failed", "cancelled"):
        print(f"  What has not succeeded runs again by: weftrun retry {shown.id}")


def _print_work(views: list[StepView], seen: Look) -> None:
    at_work = [view for view in views if view.status in ("pending", "running") and doing(view, seen.at, seen.owner)]
    for view in at_work[:_AT_WORK_SHOWN_MAX]:
        print(f"  {view.id}: {one_line(doing(view, seen.at, seen.owner))}")
    if len(at_work) > _AT_WORK_SHOWN_MAX:
        print(f"  and {count_of(len(at_work) - _AT_WORK_SHOWN_MAX, 'more Step')} at work: see `weftrun steps`")


def _print_life(shown: RunShown) -> None:
    if shown.lives > 1:
        print(f"  life {shown.lives}: it was retried; `weftrun story {shown.id}` tells all of them")
    if shown.waiting_for != "code":
        return
    print(f"  parked: the code of now does not fit it: {shown.unfit.get('why', '')}")
    if shown.unfit.get("recorded"):
        print(f"    on record: {shown.unfit['recorded']}")
        print(f"    made now:  {shown.unfit['made']}")
    print(
        f"  It goes on with code that fits (weftrun resume {shown.id}), or another way with the code of now "
        f"(weftrun retry {shown.id}), or not at all (weftrun cancel {shown.id})"
    )
