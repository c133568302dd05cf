"""`weftrun resume`."""

from __future__ import annotations

import sys
from typing import Any

import click

from weftrun.entrypoints.cli.attend import announce_on_stderr, attend
from weftrun.entrypoints.cli.bulk import RunChoice, Standing, attend_all, choice_options, chosen, is_bulk, show_chosen
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import EngineOptions, engine_options, found, journal_options, reading
from weftrun.entrypoints.cli.target import importable, load_sinks, script
from weftrun.model.errors import UsageError
from weftrun.model.records import Started
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.registry import known
from weftrun.views.calls import start_of


@click.command("resume")
@click.argument("run", metavar="[ID]", required=False, shell_complete=run_ids)
@choice_options("open", "parked")
@journal_options
@engine_options
def command(
    run: str | None, standing: Standing | None, function: str, begins: str, dry_run: bool, db: str | None,
    as_json: bool, engine: EngineOptions,
) -> int:  # fmt: skip
    """Go on with a Run that was interrupted, and print its result.

    One that has ended gives its answer, or its old error, at once; `weftrun retry ID` runs again what failed.
    Without an ID: all Runs that --status, --function and --begins choose; a line for each, with how it ended.
    """
    choice = RunChoice(standing, function, begins, dry_run)
    if is_bulk(run, choice) or run is None:
        return _resume_all(choice, db, engine, as_json=as_json)
    with reading(db) as reader:
        info = found(reader, run)
        started = start_of(reader.load(info.uid))
        note = reader.in_flight(info.uid) if info.ended_at is None else ""
    if info.is_queued:
        note = (
            f"It waits in the queue {info.queue}, out of which other engines take it; this command waits for its end."
        )
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


def _resume_all(choice: RunChoice, db: str | None, engine: EngineOptions, *, as_json: bool) -> int:
    """Go on with all Runs that are chosen; those that another engine has are waited for."""
    with reading(db) as reader:
        infos = chosen(reader, choice, may_be=("open", "parked"))
        if choice.dry_run:
            return show_chosen(infos, as_json=as_json)
        for info in infos:
            import_code(start_of(reader.load(info.uid)), info.id)
    given = load_sinks(engine.sinks) if engine.sinks is not None else None
    with engine.open(db, "none", given) as opened:
        return attend_all(opened, infos, lambda it, info: it.get(info.id), as_json=as_json)


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
