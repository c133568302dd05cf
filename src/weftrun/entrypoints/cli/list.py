"""`weftrun list`."""

from __future__ import annotations

import sys
from typing import get_args

import click
from msgspec.structs import asdict

from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.commands import UNTIL_TOLD
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo
from weftrun.views.units import duration

_COLUMNS = (
    Column("id", folds=True),
    Column("status", coloured=True),
    Column("function", folds=True, rank=1),
    Column("started", rank=2),
    Column("took", rank=3),
    Column("undelivered", rank=4, right=True, if_any=True),
)
_OF_SOME = (Column("lives", rank=5, right=True, if_any=True), Column("waits for", if_any=True))
"""Shown where a Run was retried, or waits for something."""


@click.command("list")
@journal_options
@click.option("--status", type=click.Choice(get_args(Status)), help="Only Runs that stand so.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
def command(db: str | None, as_json: bool, status: Status | None, limit: int) -> None:
    """List Runs, newest first; `undelivered` counts what they emitted and no sink has yet."""
    with reading(db) as reader:
        infos = reader.runs(status=status, limit=limit)
        left = reader.emits_left([info.uid for info in infos])
        journal = reader.journal
        takeovers = [reader.takeovers(info) for info in infos] if as_json else []
    undelivered = [sum(left.get(info.uid, {}).values()) for info in infos]
    if as_json:
        told = zip(infos, undelivered, takeovers, strict=True)
        print_json(
            [
                asdict(info) | {"takeovers": over, "waiting_for": info.waiting_for, "undelivered": count}
                for info, count, over in told
            ]
        )
        return
    columns: tuple[Column, ...] = _COLUMNS
    if any(info.lives > 1 or info.waiting_for for info in infos):
        columns = (*_COLUMNS, *_OF_SOME)
    rows = [_row(*one)[: len(columns)] for one in zip(infos, undelivered, strict=True)]
    print_table(columns, rows)
    if not infos:
        what = f"No Run in the Journal {journal} is {status}." if status else f"No Run is in the Journal {journal}."
        print(what, file=sys.stderr)


def _row(info: RunInfo, undelivered: int) -> tuple[str, ...]:
    took = duration(info.ended_at - info.started_at) if info.ended_at is not None else ""
    if 0 < info.due_at < UNTIL_TOLD and info.ended_at is None:
        took = f"due {clock(info.due_at)}"
    count = f"{undelivered:,}" if undelivered else ""
    lives = str(info.lives) if info.lives > 1 else ""
    waits = info.waiting_for or ""
    return info.id, info.status, info.function, clock(info.started_at), took, count, lives, waits
