"""`weftrun steps`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.options import check_step, journal_options, rows_and_trace
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.views.steps import StepView, steps
from weftrun.views.trace import is_part
from weftrun.views.units import duration

_COLUMNS = (
    Column("step", folds=True),
    Column("status", coloured=True),
    Column("attempts", rank=3, right=True),
    Column("items", rank=1, if_any=True),
    Column("waited", rank=4),
    Column("in body", rank=2),
    Column("sandbox", rank=5, right=True),
    Column("value or error", gives=True, if_any=True),
)


@click.command("steps")
@click.argument("run", metavar="ID")
@click.argument("step", metavar="[STEP]", required=False)
@journal_options
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Show at most so many.")
def command(run: str, step: str | None, db: str | None, as_json: bool, limit: int) -> None:
    """Show the Steps of a Run: a map is one line. STEP keeps one, with the calls of its body."""
    _, rows, trace = rows_and_trace(db, run)
    views = steps(rows, trace)
    if step is not None:
        check_step(views, run, step)
        views = [view for view in views if is_part(view.id, step)]
    if as_json:
        print_json(views)
        return
    print_table(_COLUMNS, [_row(view) for view in views[:limit]])
    if len(views) > limit:
        click.echo(f"{len(views) - limit:,} more: --limit {len(views)} shows all.", err=True)


def _row(view: StepView) -> tuple[str, ...]:
    items = ""
    if view.is_map:
        failed = f", {view.items_failed:,} failed" if view.items_failed else ""
        items = f"{view.items_done:,}/{'?' if view.items is None else f'{view.items:,}'}{failed}"
    return (
        view.id,
        view.status,
        str(view.attempts or ""),
        items,
        duration(view.waited_s) if view.entered_at is not None else "",
        duration(view.body_s) if view.entered_at is not None else "",
        str(view.sandbox or ""),
        view.error or " ".join(filter(None, (view.preview, view.unrecorded and f"(not recorded: {view.unrecorded})"))),
    )
