"""`weftrun history`."""

from __future__ import annotations

import click

from weftrun.assembly.history import history_lines
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import found, journal_options, reading


@click.command("history")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.option("--no-values", is_flag=True, help="Leave out the values of more than 64 KiB.")
@journal_options
def command(run: str, no_values: bool, db: str | None, as_json: bool) -> None:  # noqa: ARG001  # it is JSON anyway
    """Print all records of a Run, a line of JSON each: `weftrun history ID > tests/order.jsonl`.

    `weftrun.testing.replaying.replay("tests/order.jsonl", order)` holds the code of a workflow against it in a test.
    Small values are in it as they are recorded: keep it as you keep the Journal.
    """
    with reading(db) as reader:
        for line in history_lines(reader, found(reader, run), values=not no_values):
            print(line)
