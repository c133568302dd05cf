"""`weftrun doctor`."""

from __future__ import annotations

import sys

import click
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from weftrun.assembly import place_of
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.host import Check, check_import, checks
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import print_json, print_table

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


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
    elif sys.stdout.isatty():
        _print(found)
    else:
        print_table(("what", "state", "found", "meaning"), [(c.name, c.state, c.value, c.meaning) for c in found])
    return Exit.FAILED if any(check.state == "fail" for check in found) else Exit.SUCCEEDED


def _print(found: list[Check]) -> None:
    table = Table(box=SIMPLE, pad_edge=False)
    for column in ("what", "", "found", "meaning"):
        table.add_column(column, overflow="fold")
    for check in found:
        state = f"[{_COLOURS[check.state]}]{check.state}[/]"
        table.add_row(check.name, state, escape(check.value), escape(check.meaning))
    Console(highlight=False).print(table)
