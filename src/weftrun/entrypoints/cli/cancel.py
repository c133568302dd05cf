"""`weftrun cancel`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import found, journal_options, reading
from weftrun.entrypoints.cli.output import print_json


@click.command("cancel")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
def command(run: str, db: str | None, as_json: bool) -> None:
    """Ask for a Run to be cancelled. Its engine looks about once a second; without one, the next engine does it."""
    with reading(db) as reader:
        info = found(reader, run)
        asked = info.status in ("pending", "running")
        if asked:
            reader.post_cancel(run)
    if as_json:
        print_json({"id": run, "asked": asked, "status": info.status})
    elif asked:
        print(f"Run {run} was asked to cancel.")
    else:
        print(f"Run {run} has ended already: {info.status}.")
