"""`weftrun list`."""

from __future__ import annotations

from typing import get_args

import click
from msgspec.structs import asdict

from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json, print_table
from weftrun.model.outcomes import Status
from weftrun.ports.journal import RunInfo
from weftrun.views.units import duration


@click.command("list")
@journal_options
@click.option("--status", type=click.Choice(get_args(Status)), help="Only Runs that stand so.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
def command(db: str | None, as_json: bool, status: Status | None, limit: int) -> None:
    """List Runs, newest first; `undelivered` counts what they emitted and no sink has yet."""
    with reading(db) as reader:
        infos = reader.runs(status=status, limit=limit)
        left = reader.emits_left([info.uid for info in infos])
    undelivered = [sum(left.get(info.uid, {}).values()) for info in infos]
    if as_json:
        print_json([asdict(info) | {"undelivered": count} for info, count in zip(infos, undelivered, strict=True)])
        return
    columns = ("id", "status", "function", "started", "took", "undelivered")
    print_table(columns, [_row(*one) for one in zip(infos, undelivered, strict=True)], status_column=1)


def _row(info: RunInfo, undelivered: int) -> tuple[str, ...]:
    took = duration(info.ended_at - info.started_at) if info.ended_at is not None else ""
    return info.id, info.status, info.function, clock(info.started_at), took, f"{undelivered:,}" if undelivered else ""
