"""`weftrun list`."""

from __future__ import annotations

import sys
from typing import Literal, get_args

import click
from msgspec.structs import asdict

from weftrun.assembly import Reader
from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
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
_OF_SOME = (
    Column("lives", rank=5, right=True, if_any=True),
    Column("waits for", if_any=True),
    Column("queue", rank=6, if_any=True),
)
"""Shown where a Run was retried, waits for something, is of a queue, or has no engine that lives."""


@click.command("list")
@journal_options
@click.option(
    "--status",
    type=click.Choice((*get_args(Status), "parked")),
    help="Only Runs that stand so; parked are those that wait for code that fits.",
)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
def command(db: str | None, as_json: bool, status: Status | Literal["parked"] | None, limit: int) -> None:
    """List Runs, newest first; `undelivered` counts what they emitted and no sink has yet."""
    with reading(db) as reader:
        infos = _parked(reader, limit) if status == "parked" else reader.runs(status=status, limit=limit)
        alone = reader.without_engine(infos)
        left = reader.emits_left([info.uid for info in infos])
        journal = reader.journal
        takeovers = [reader.takeovers(info) for info in infos] if as_json else []
    undelivered = [sum(left.get(info.uid, {}).values()) for info in infos]
    if as_json:
        told = zip(infos, undelivered, takeovers, strict=True)
        print_json(
            [
                {key: value for key, value in asdict(info).items() if key != "waits"}
                | {"takeovers": over, "waiting_for": info.waiting_for, "undelivered": count}
                for info, count, over in told
            ]
        )
        return
    columns: tuple[Column, ...] = _COLUMNS
    if alone or any(info.lives > 1 or info.waiting_for or info.queue for info in infos):
        columns = (*_COLUMNS, *_OF_SOME)
    told_of = zip(infos, undelivered, strict=True)
    rows = [_row(info, count, is_alone=info.uid in alone)[: len(columns)] for info, count in told_of]
    print_table(columns, rows)
    if not infos:
        what = f"No Run in the Journal {journal} is {status}." if status else f"No Run is in the Journal {journal}."
        print(what, file=sys.stderr)


def _parked(reader: Reader, limit: int) -> list[RunInfo]:
    """Return Runs that wait for code, newest first."""
    found: list[RunInfo] = []
    before = None
    while len(found) < limit and (page := reader.runs(status="running", before=before)):
        found += [info for info in page if info.waiting_for == "code"]
        before = page[-1].place
    return found[:limit]


def _row(info: RunInfo, undelivered: int, *, is_alone: bool) -> tuple[str, ...]:
    took = duration(info.ended_at - info.started_at) if info.ended_at is not None else ""
    if info.goes_on_at is not None:
        took = f"due {clock(info.goes_on_at)}"
    count = f"{undelivered:,}" if undelivered else ""
    lives = str(info.lives) if info.lives > 1 else ""
    waits = info.waiting_for or ("an engine" if is_alone else "")
    return info.id, info.status, info.function, clock(info.started_at), took, count, lives, waits, info.queue
