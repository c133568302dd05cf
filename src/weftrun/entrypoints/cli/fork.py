"""`weftrun fork`."""

from __future__ import annotations

from typing import Any

import click

from weftrun.assembly import check_fork
from weftrun.entrypoints.cli.attend import announce_on_stderr, attend
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import EngineOptions, engine_options, found, journal_options, named, reading
from weftrun.entrypoints.cli.resume import import_code
from weftrun.entrypoints.cli.target import load_sinks
from weftrun.sdk.function import Function
from weftrun.sdk.handles import Engine, Run
from weftrun.sdk.json_values import bind_json
from weftrun.sdk.registry import known
from weftrun.views.calls import start_of


@click.command("fork")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@click.option("--from", "step", metavar="STEP", required=True, help="The first Step that runs anew, e.g. 'charge[0]'.")
@click.option("--id", "new_id", metavar="NEW", help="Id of the new Run; asked for again, it is the same fork.")
@click.option("--arguments", metavar="JSON", help="The new Run's arguments, all of them: an object, or a list.")
@journal_options
@engine_options
@click.option("--force", is_flag=True, help="Also where what is reused may have been undone after a failure.")
def command(
    run: str, step: str, new_id: str | None, arguments: str | None, db: str | None, as_json: bool,
    engine: EngineOptions, force: bool,
) -> int:  # fmt: skip
    """Start another Run that has what a Run had settled before a Step, and print its result.

    The rest runs with the code of now. The Run that is forked, which must have ended or wait for code, stays as it is.
    What is reused is not done again, nor emitted again. Exit code 3: no such Run; 2: no such Step, or none can begin
    there; 4: a value that is to be reused is gone; 5: the id belongs to another Run.
    """
    with reading(db) as reader:
        info = found(reader, run)
        import_code(start_of(reader.load(info.uid)), run)
        if not force and info.can_be_retried:
            check_fork(reader, run, info.uid, step, named(db, engine.words))
    function = known(info.function)
    call = bind_json(function, arguments.encode()) if arguments is not None and isinstance(function, Function) else None
    args, kwargs = call if call is not None else (None, None)
    given = load_sinks(engine.sinks) if engine.sinks is not None else None

    def begin(opened: Engine) -> Run[Any]:
        return opened.fork(run, step, id=new_id, args=args, kwargs=kwargs, force=True)

    return attend(
        lambda: engine.open(db, "none", given),
        begin,
        db=db,
        as_json=as_json,
        options=engine.words,
        announce=announce_on_stderr,
    )
