"""`weftrun signal`."""

from __future__ import annotations

import json
import sys

import click

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import found, journal_options, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import UsageError
from weftrun.sdk.waiting import Json, check_name


@click.command("signal")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.argument("name")
@click.argument("value", metavar="[JSON]", required=False)
@click.option("--id", "message", metavar="KEY", default="", help="Sent again with the same KEY, it is one signal.")
@journal_options
def command(run: str, name: str, value: str | None, message: str, db: str | None, as_json: bool) -> None:
    """Send a signal to a Run, for `weftrun.signal(NAME, ...)` in its workflow.

    JSON is read as the type that the workflow waits for; without it the value is null, and `-` reads it from stdin.
    What is of another type is refused, where the workflow waits for it now. The signal need not be waited for yet, and
    is taken once.
    """
    check_name(name)
    text = "null" if value is None else sys.stdin.read() if value == "-" else value
    try:
        json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{text[:60]!r} is no JSON: {error}. A text stands in quotes, which the shell must let through: '\"yes\"'."
        ) from None
    with reading(db) as reader:
        info = found(reader, run)
        note = reader.post_signal(info.id, name, Json(text), message)
    if as_json:
        print_json({"id": run, "signal": name, "note": note})
        return
    print(f"The signal {name} was sent to Run {run}.")
    if note:
        print(note, file=sys.stderr)
