"""`weftrun get`."""

from __future__ import annotations

import click

from weftrun.assembly import Look
from weftrun.entrypoints.cli.attend import retry_sentence
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.now import doing, owner_sentence
from weftrun.entrypoints.cli.options import again, journal_options, look, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.terminal import one_line, shown_text
from weftrun.views.progress import counted
from weftrun.views.run import RunShown, run_shown
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.units import count_of, duration

_ANSWERS_SHOWN_MAX = 5
_AT_WORK_SHOWN_MAX = 8


@click.command("get")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
def command(run: str, db: str | None, as_json: bool) -> None:
    """Show one Run: status, answer, error. Answers are shown as previews and not decoded."""
    with reading(db) as reader:
        seen = look(reader, run)
    fold = StepsFold.of(seen.rows, seen.trace, seen.running)
    views = list(fold.views())
    shown = run_shown(seen.info, seen.rows, seen.trace, fold, views, seen.running, seen.owner)
    if as_json:
        print_json(shown)
    else:
        _print(shown, views, seen, db)


def _print(shown: RunShown, views: list[StepView], seen: Look, db: str | None) -> None:
    if shown.ended_at is not None:
        took = f", took {duration(shown.ended_at - shown.started_at)}"
    else:
        took = f", {duration(max(0.0, seen.at - shown.started_at))} ago"
    print(f"Run {shown.id} of {shown.function}: {shown.status}")
    print(f"  started {clock(shown.started_at)}{took}")
    if sentence := owner_sentence(seen.info, seen.owner, seen.at, db):
        print(f"  {sentence}")
    if shown.queue and shown.waiting_for != f"queue {shown.queue}":
        print(f"  of the queue {shown.queue}")
    if shown.takeovers:
        print(f"  taken over {count_of(shown.takeovers, 'time')} (epoch {shown.epoch})")
    _print_life(shown, db)
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
        print(f"  {retry_sentence(shown.id, shown.status, db)}")


def _print_work(views: list[StepView], seen: Look) -> None:
    at_work = [view for view in views if view.status in ("pending", "running") and doing(view, seen.at, seen.owner)]
    for view in at_work[:_AT_WORK_SHOWN_MAX]:
        print(f"  {view.id}: {one_line(doing(view, seen.at, seen.owner))}")
    if len(at_work) > _AT_WORK_SHOWN_MAX:
        print(f"  and {count_of(len(at_work) - _AT_WORK_SHOWN_MAX, 'more Step')} at work: see `weftrun steps`")


def _print_life(shown: RunShown, db: str | None) -> None:
    if shown.lives > 1:
        print(f"  life {shown.lives}: it was retried; `{again('story', shown.id, db)}` tells all of them")
    if shown.waiting_for != "code":
        return
    print(f"  parked: the code of now does not fit it: {shown.unfit.get('why', '')}")
    if shown.unfit.get("recorded"):
        print(f"    on record: {shown.unfit['recorded']}")
        print(f"    made now:  {shown.unfit['made']}")
    ways = [f"with code that fits ({again('resume', shown.id, db)})"]
    if shown.unfit.get("recorded"):
        ways.append(f"another way with the code of now ({again('retry', shown.id, db)})")
    print(f"  It goes on {', or '.join(ways)}, or not at all ({again('cancel', shown.id, db)})")
