"""`weftrun retry`."""

from __future__ import annotations

from typing import Any

import click

from weftrun.assembly import check_undone
from weftrun.entrypoints.cli.attend import announce_on_stderr, attend
from weftrun.entrypoints.cli.bulk import RunChoice, Standing, attend_all, choice_options, chosen, is_bulk, show_chosen
from weftrun.entrypoints.cli.options import EngineOptions, engine_options, found, journal_options, named, reading
from weftrun.entrypoints.cli.resume import import_code
from weftrun.entrypoints.cli.target import load_sinks
from weftrun.model.errors import UsageError
from weftrun.ports.journal import how_it_stands
from weftrun.sdk.handles import Engine, Run
from weftrun.views.calls import start_of


@click.command("retry")
@click.argument("run", metavar="[ID]", required=False)
@choice_options("failed", "cancelled", "parked")
@journal_options
@engine_options
@click.option("--force", is_flag=True, help="Also where it went on after a failure, and may have undone its work.")
def command(
    run: str | None, standing: Standing | None, function: str, begins: str, dry_run: bool, db: str | None,
    as_json: bool, engine: EngineOptions, force: bool,
) -> int:  # fmt: skip
    """Run again what failed of a Run, with the code of now, and print its result.

    For a Run that failed, was cancelled, or waits for code that fits. What succeeded is kept and never run again; a
    Step that failed has another Attempt, under the same key. Refused where the Run went on after a failure and did what
    others can see, such as undoing a booking, unless --force. Exit code 3: no such Run; 2: it goes on, or succeeded.

    Without an ID: all Runs that --status, --function and --begins choose; a line for each, with how it ended.
    """
    choice = RunChoice(standing, function, begins, dry_run)
    if is_bulk(run, choice) or run is None:
        return _retry_all(choice, db, engine, as_json=as_json, force=force)
    with reading(db) as reader:
        info = found(reader, run)
        if not info.can_be_retried:
            raise UsageError(f"Run {run} can't be retried: it {how_it_stands(info)}.")
        import_code(start_of(reader.load(info.uid)), run)
        if not force:
            check_undone(reader, run, info.uid, named(db, engine.words))
    given = load_sinks(engine.sinks) if engine.sinks is not None else None

    def again(opened: Engine) -> Run[Any]:
        return opened.retry(run, force=True)

    return attend(
        lambda: engine.open(db, "none", given),
        again,
        db=db,
        as_json=as_json,
        options=engine.words,
        announce=announce_on_stderr,
        retried=True,
    )


def _retry_all(choice: RunChoice, db: str | None, engine: EngineOptions, *, as_json: bool, force: bool) -> int:
    """Retry all Runs that are chosen."""
    with reading(db) as reader:
        infos = chosen(reader, choice, may_be=("failed", "cancelled", "parked"))
        if choice.dry_run:
            return show_chosen(infos, as_json=as_json)
        for info in infos:
            import_code(start_of(reader.load(info.uid)), info.id)
    given = load_sinks(engine.sinks) if engine.sinks is not None else None
    with engine.open(db, "none", given) as opened:
        return attend_all(opened, infos, lambda it, info: it.retry(info.id, force=force), as_json=as_json)
