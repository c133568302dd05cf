"""`weftrun graph`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import journal_options, rows_and_trace
from weftrun.entrypoints.cli.output import print_json
from weftrun.views.graph import graph


@click.command("graph")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
@click.option(
    "--nodes", type=click.IntRange(1), default=200, show_default=True, help="Over so many Steps, draw one per Function."
)
def command(run: str, db: str | None, as_json: bool, nodes: int) -> None:
    """Print the graph of a Run as a Mermaid flowchart."""
    info, rows, trace = rows_and_trace(db, run)
    text = graph(rows, trace, nodes_max=nodes)
    if as_json:
        print_json({"id": info.id, "mermaid": text})
    else:
        print(text, end="")
