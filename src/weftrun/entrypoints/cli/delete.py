"""`weftrun delete`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import found, journal_options, reading
from weftrun.entrypoints.cli.output import print_json


@click.command("delete")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
@click.option("--forget", is_flag=True, help="Free the id too: it may then be executed again, as another Run.")
def command(run: str, db: str | None, as_json: bool, forget: bool) -> None:
    """Delete the records of a Run that has ended. Its id stays taken, so that it never runs a second time."""
    with reading(db) as reader:
        info = reader.find(run)
        if info is None or not forget:  # what is deleted already can still be forgotten
            info = found(reader, run)
        reader.delete(run, forget=forget)
    if as_json:
        print_json({"id": run, "status": info.status, "forgotten": forget})
    else:
        print(f"Run {run} was {'forgotten: its id is free again' if forget else 'deleted; its id stays taken'}.")
