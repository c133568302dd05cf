"""`weftrun story`."""

from __future__ import annotations

import click

from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import check_step, journal_options, reading, rows_and_trace
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import shown_text
from weftrun.views.steps import steps
from weftrun.views.story import story


@click.command("story")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.argument("step", metavar="[STEP]", required=False)
@journal_options
def command(run: str, step: str | None, db: str | None, as_json: bool) -> None:
    """Tell why each thing in a Run happened, a sentence per fact; times are since the Run was started."""
    info, rows, trace = rows_and_trace(db, run)
    with reading(db) as reader:
        emitted = reader.emitted(info.uid)
    told = story(rows, trace, step, emitted)
    if step is not None and not told:
        check_step(steps(rows, trace), run, step)
    if as_json:
        print_json(told)
        return
    for sentence in told:
        print(f"{sentence.at - info.started_at:+11.6f} s  {shown_text(sentence.text)}")
