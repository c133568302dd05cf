"""`weftrun resume`."""

from __future__ import annotations

import sys
from typing import Any

import click

from weftrun.entrypoints.cli.attend import announce_on_stderr, attend
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import EngineOptions, engine_options, found, journal_options, reading
from weftrun.entrypoints.cli.target import importable, load_sinks, script
from weftrun.model.errors import UsageError
from weftrun.model.records import Started
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.registry import known
from weftrun.views.calls import start_of


@click.command("resume")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
@engine_options
def command(run: str, db: str | None, as_json: bool, engine: EngineOptions) -> int:
    """Go on with a Run that was interrupted, and print its result.

    One that has ended gives its answer, or its old error, at once; `weftrun retry ID` runs again what failed.
    """
    with reading(db) as reader:
        info = found(reader, run)
        started = start_of(reader.load(info.uid))
        note = reader.in_flight(info.uid) if info.ended_at is None else ""
    bundle = started.bundle
    if info.ended_at is None:
        import_code(started, run)
    else:
        sys.path[:0] = [entry for entry in bundle.path if entry not in sys.path]
    given = load_sinks(engine.sinks) if engine.sinks is not None else None

    def find(opened: Engine) -> Run[Any]:
        return opened.get(run)

    return attend(
        lambda: engine.open(db, run, given),
        find,
        db=db,
        as_json=as_json,
        options=engine.words,
        announce=announce_on_stderr,
        note=note,
    )


def import_code(started: Started, run: str) -> None:
    """Import the author's code here first, so that a Run whose code is gone is refused and not begun.

    Raises:
        UsageError: it can't be imported, came from a notebook, or has no Function of the Run's name any more.
    """
    bundle = started.bundle
    sys.path[:0] = [entry for entry in bundle.path if entry not in sys.path]
    if bundle.blob:
        raise UsageError(
            f"Run {run} came from a notebook or a REPL, and its code with it: it can be resumed only there."
        )
    if bundle.file:
        script(bundle.file, bundle.module, bundle.program.argv)
    else:
        importable(bundle.module, bundle.program.argv)
    if known(started.function.name) is None:
        raise UsageError(
            f"Run {run} is one of {started.function.name}, and {bundle.file or bundle.module} has no Function of that "
            f"name now; nothing was changed. Bring it back, or keep the name of one that was renamed: "
            f"name={started.function.name!r}."
        )
