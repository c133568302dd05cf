"""`weftrun gc`."""

from __future__ import annotations

import sys
from typing import get_args

import click

from weftrun.assembly.collecting import Collected, Retention
from weftrun.entrypoints.cli.durations import seconds_of
from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.outcomes import Status
from weftrun.views.units import count_of, size

_ENDED = tuple(status for status in get_args(Status) if status not in ("pending", "running"))


@click.command("gc")
@click.option("--older-than", metavar="AGE", required=True, help="That ended longer ago: 3600, 12h, 7d, 4w.")
@click.option(
    "--status", "statuses", type=click.Choice((*_ENDED, "ended")), multiple=True, default=("succeeded",),
    show_default=True, help="That ended so; may be given several times. `ended` is all of them.",
)  # fmt: skip
@click.option("--function", default="", metavar="NAME", help="Of this workflow or function only, e.g. shop:order.")
@click.option("--forget", is_flag=True, help="Free the ids too: they may then be executed again, as other Runs.")
@click.option("--dry-run", is_flag=True, help="Only say how many there are.")
@journal_options
def command(
    older_than: str, statuses: tuple[str, ...], function: str, forget: bool, dry_run: bool, db: str | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Delete the records of Runs that ended long ago, and the values that nobody names any more.

    Ids stay taken, so that nothing runs a second time, unless --forget. Runs stay of which something that was emitted
    is not delivered. Engines may run meanwhile; values are removed only where none has the Journal open.
    """
    chosen = tuple(status for status in _ENDED if status in statuses or "ended" in statuses)
    wanted = Retention(seconds_of("--older-than", older_than), chosen, function, forget, dry_run)
    with reading(db) as reader:
        collected = reader.collect(wanted, _say)
    if sys.stderr.isatty() and not dry_run:
        print(file=sys.stderr)
    if as_json:
        print_json(collected)
    else:
        print(_sentence(collected, dry_run=dry_run))


def _say(runs: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{runs:,} deleted", end="", file=sys.stderr, flush=True)


def _sentence(collected: Collected, *, dry_run: bool) -> str:
    told = f"{count_of(collected.runs, 'Run')} {'would be' if dry_run else 'deleted'}{' deleted' if dry_run else ''}"
    if collected.values:
        told += f", and {count_of(collected.values, 'value')} of {size(collected.nbytes)}"
    if collected.undelivered:
        told += f"; {collected.undelivered:,} stay, since what they emitted is not delivered (weftrun outbox)"
    if collected.ids_kept:
        told += f"; {collected.ids_kept:,} ids stay taken, since their schedules might start them again"
    if collected.values_stay:
        told += "; their values beside the Journal are removed by the next gc or delete without an open engine"
    return told + "."
