"""`weftrun steps`."""

from __future__ import annotations

import click

from weftrun.assembly import Look
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.now import doing, owner_sentence
from weftrun.entrypoints.cli.options import check_step, journal_options, look, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.views.step import StepView
from weftrun.views.steps import steps
from weftrun.views.trace import is_part
from weftrun.views.units import duration, size

_COLUMNS = (
    Column("step", folds=True),
    Column("status", coloured=True),
    Column("attempts", rank=3, right=True),
    Column("items", rank=1, if_any=True),
    Column("waited", rank=4),
    Column("in body", rank=2),
    Column("clients", rank=7, if_any=True),
    Column("sandbox", rank=5, right=True),
    Column("came", if_any=True, rank=6),
    Column("value or error", gives=True, if_any=True),
)
_LIFE = Column("life", rank=7, right=True)
"""Shown of Runs that were retried."""


@click.command("steps")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.argument("step", metavar="[STEP]", required=False)
@journal_options
@click.option("--limit", type=click.IntRange(1), default=200, show_default=True, help="Show at most so many.")
def command(run: str, step: str | None, db: str | None, as_json: bool, limit: int) -> None:
    """Show the Steps of a Run in the order of its graph: a map is one line. STEP keeps one, with the calls of its body.

    Of what has been running for a second or more it tells since when, where, and the last line that was printed.
    """
    with reading(db) as reader:
        seen = look(reader, run)
    views = steps(seen.rows, seen.trace, seen.running)
    if step is not None:
        check_step(views, run, step)
        views = [view for view in views if is_part(view.id, step)]
    if as_json:
        print_json(views)
        return
    retried = any(view.life > 1 for view in views)
    columns = (*_COLUMNS, _LIFE) if retried else _COLUMNS
    print_table(columns, [_row(view, seen)[: len(columns)] for view in views[:limit]])
    if len(views) > limit:
        click.echo(f"{len(views) - limit:,} more: --limit {len(views)} shows all.", err=True)
    if seen.info.ended_at is None and (seen.owner is None or not seen.owner.lives):
        click.echo(f"Run {run}: {owner_sentence(seen.info, seen.owner, seen.at, db)}.", err=True)


def _row(view: StepView, seen: Look) -> tuple[str, ...]:
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
        f"{view.clients_made:,} made, {view.clients_used:,} used" if view.clients_made or view.clients_used else "",
        str(view.sandbox or ""),
        _came(view),
        _value(view, seen),
        str(view.life),
    )


def _came(view: StepView) -> str:
    """Return what came to a Step from other hosts, and from which Workers."""
    found: dict[str, int] = {}
    for came in view.came:
        if came.way != "local":
            source = f"from {came.worker}" if came.way == "fetched" else "from the engine"
            found[source] = found.get(source, 0) + came.nbytes
    return ", ".join(f"{size(nbytes)} {source}" for source, nbytes in found.items())


def _value(view: StepView, seen: Look) -> str:
    """Return what there is to tell of a Step: what it does now, why it failed, its value."""
    told = [doing(view, seen.at, seen.owner), view.error, view.preview if not view.error else ""]
    if view.unrecorded:
        told.append(f"(not recorded: {view.unrecorded})")
    return " ".join(filter(None, told))
