"""`weftrun restore`."""

from __future__ import annotations

from pathlib import Path

import click

from weftrun.assembly import place_of
from weftrun.assembly.backup import copy_journal
from weftrun.entrypoints.cli.backup import say, show
from weftrun.entrypoints.cli.options import journal_options
from weftrun.model.errors import JournalMissing, UsageError


@click.command("restore")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
@journal_options
def command(file: Path, db: str | None, as_json: bool) -> None:
    """Bring a copy that `weftrun backup` made back as a Journal: to --db, where no Journal may be.

    Its open Runs go on with the next engine. Where the original still runs, both would run them: end that one first.
    """
    target = place_of(db)
    if target.path is None:
        raise UsageError(f"{target.shown} is a Journal in PostgreSQL: a copy of one in SQLite can't be restored there.")
    if not file.exists():
        raise JournalMissing(f"There is no file {file} to be restored: `weftrun backup FILE` makes one.")
    if not target.is_missing:
        raise UsageError(
            f"There is a Journal at {target.path} already, and nothing is restored over one: move it away, or name "
            "another place by --db."
        )
    target.check_folder()
    target.path.parent.mkdir(exist_ok=True)
    source = place_of(f"sqlite:///{file.absolute()}")
    show(copy_journal(source, target.path, say), as_json=as_json, done="restored to")
