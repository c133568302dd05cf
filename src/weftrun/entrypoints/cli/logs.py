"""`weftrun logs`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.options import check_step, journal_options, rows_and_trace
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.views.steps import steps
from weftrun.views.trace import texts


@click.command("logs")
@click.argument("run", metavar="ID")
@click.argument("step", metavar="[STEP]", required=False)
@journal_options
def command(run: str, step: str | None, db: str | None, as_json: bool) -> None:
    """Show what the Attempts of a Run printed.

    STEP keeps one Step, a workflow's with the calls of its body. What a map printed is told by Batch, not by item.
    """
    _, rows, trace = rows_and_trace(db, run)
    told = texts(trace, step)
    if step is not None and not told:
        check_step(steps(rows), run, step)
    if as_json:
        print_json(told)
        return
    for text in told:
        attempt = f", Attempt {text.attempt}" if text.attempt > 1 else ""
        print(f"── {text.step}{attempt}, {clock(text.at)}")
        print(shown_text(text.text.rstrip("\n")))
    if not told:
        click.echo("Nothing was printed, or the trace was lost in a crash: it is not synced.", err=True)
