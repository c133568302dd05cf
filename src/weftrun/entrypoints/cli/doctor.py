"""`weftrun doctor`."""

from __future__ import annotations

import click

from weftrun.assembly import place_of
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.host import check_import, checks
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.table import Column, print_table

_COLUMNS = (
    Column("what"),
    Column("state", coloured=True),
    Column("found", gives=True, folds=True),
    Column("meaning", gives=True, folds=True),
)


@click.command("doctor")
@click.argument("app", required=False, metavar="[APP]")
@journal_options
def command(app: str | None, db: str | None, as_json: bool) -> int:
    """Check what this host offers, and say what each thing means. Exit code 1 where weftrun can't work.

    APP is FILE.py or a module: it is imported as for Sandboxes, and what its import leaves behind is told, with what
    follows from it.
    """
    found = list(checks(place_of(db)))
    if app is not None:
        found.append(check_import(app))
    if as_json:
        print_json(found)
    else:
        print_table(_COLUMNS, [(check.name, check.state, check.value, check.meaning) for check in found])
    return Exit.FAILED if any(check.state == "fail" for check in found) else Exit.SUCCEEDED
