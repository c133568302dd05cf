"""`weftrun backup`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from weftrun.assembly import place_of
from weftrun.assembly.backup import Copied, copy_journal
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.views.units import count_of, size


@click.command("backup")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@journal_options
def command(file: Path, db: str | None, as_json: bool) -> None:
    """Copy a Journal in SQLite, while engines use it, to FILE and the folder FILE.d.

    The copy is the Journal of one moment, with the values beside it; it is a Journal itself, so `weftrun list --db
    sqlite:///FILE` shows it. `weftrun restore FILE` brings it back.
    """
    show(copy_journal(place_of(db), file, say), as_json=as_json, done="copied to")


def say(done: int, of: int) -> None:
    """Show how much is copied."""
    if sys.stderr.isatty():
        print(f"\r{100 * done // max(1, of)} % of the records copied", end="", file=sys.stderr, flush=True)


def show(copied: Copied, *, as_json: bool, done: str) -> None:
    """Print what was copied."""
    if sys.stderr.isatty():
        print(file=sys.stderr)
    if as_json:
        print_json(copied)
        return
    values = f" and {count_of(copied.values, 'value')} of {size(copied.value_bytes)}" if copied.values else ""
    if copied.missing:
        missing = f"{count_of(copied.missing, 'value')} that records name"
        print(f"{missing} could not be copied: missing beside the original.", file=sys.stderr)
    print(f"The Journal was {done} {copied.file}: {size(copied.nbytes)} of records{values}.")
