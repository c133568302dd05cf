"""`weftrun timeline`."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from weftrun.entrypoints.cli.options import journal_options, rows_and_trace
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import UsageError
from weftrun.views.lanes import lanes
from weftrun.views.page import page
from weftrun.views.timeline import timeline


@click.command("timeline")
@click.argument("run", metavar="ID")
@journal_options
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write one HTML file that needs no other."
)
def command(run: str, db: str | None, as_json: bool, html: Path | None) -> None:
    """Show when and where Steps ran, and where the time went."""
    _, rows, trace = rows_and_trace(db, run)
    line = timeline(rows, trace)
    if html is not None:
        try:
            html.write_text(page(line), encoding="utf-8")
        except OSError as error:
            raise UsageError(f"{html} can't be written: {error.strerror}.") from error
        click.echo(f"The timeline of {run} is in {html}.", err=True)
    if as_json:
        print_json(line)
    elif html is None:
        print("\n".join(lanes(line, shutil.get_terminal_size().columns)))
