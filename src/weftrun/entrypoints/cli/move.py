"""`weftrun move`."""

from __future__ import annotations

import sys

import click

from weftrun.assembly import place_of
from weftrun.assembly.moving import MovedJournal, move_journal
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.views.units import count_of, size


@click.command("move")
@click.option("--to", "to", required=True, metavar="URL", help="Of an empty database: postgresql://user@host/database.")
@journal_options
def command(to: str, db: str | None, as_json: bool) -> None:
    """Move a Journal from SQLite to PostgreSQL, with its values. End all engines first.

    Ids, records, signals, queues, schedules and the outbox are the same afterwards; open Runs go on with the next
    engine on the new URL. What was written is read again before anything counts as moved. The old file is left, and
    refuses to be opened. Said again after it was cut off, it goes on.
    """
    moved = move_journal(place_of(db), place_of(to), _say)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if as_json:
        print_json(moved)
    else:
        print(_sentence(moved))


def _say(rows: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{rows:,} rows moved", end="", file=sys.stderr, flush=True)


def _sentence(moved: MovedJournal) -> str:
    values = f" and {count_of(moved.values, 'value')} of {size(moved.value_bytes)}" if moved.values else ""
    return (
        f"{count_of(moved.runs, 'Run')} in {count_of(moved.rows, 'row')}{values} were moved to {moved.journal}.\n"
        f"All its engines must see the folder {moved.folder}; WEFTRUN_FOLDER names it."
    )
