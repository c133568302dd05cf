"""`weftrun retry`."""

from __future__ import annotations

from typing import Any

import click

from weftrun.assembly import open_engine
from weftrun.entrypoints.cli.attend import announce_on_stderr, attend
from weftrun.entrypoints.cli.options import engine_options, found, journal_options, reading
from weftrun.entrypoints.cli.resume import import_code
from weftrun.entrypoints.cli.target import load_sinks
from weftrun.model.errors import UsageError
from weftrun.ports.journal import how_it_stands
from weftrun.sdk.handles import Engine, Run
from weftrun.views.calls import start_of


@click.command("retry")
@click.argument("run", metavar="ID")
@journal_options
@engine_options
def command(run: str, db: str | None, as_json: bool, sandboxes: int | None, sinks: str | None) -> int:
    """Run again what failed of a Run, with the code of now, and print its result.

    For a Run that failed, was cancelled, or waits for code that fits. What succeeded is kept and never run again; a
    Step that failed has another Attempt, under the same key. Exit code 3: no such Run; 2: it goes on, or succeeded.
    """
    with reading(db) as reader:
        info = found(reader, run)
        if not info.can_be_retried:
            raise UsageError(f"Run {run} can't be retried: it {how_it_stands(info)}.")
        bundle = start_of(reader.load(info.uid)).bundle
    import_code(bundle, run)
    given = load_sinks(sinks) if sinks is not None else None

    def again(engine: Engine) -> Run[Any]:
        return engine.retry(run)

    return attend(
        lambda: open_engine(db, recover="none", sandboxes=sandboxes, sinks=given),
        again,
        db=db,
        as_json=as_json,
        sinks=sinks,
        announce=announce_on_stderr,
        retried=True,
    )
