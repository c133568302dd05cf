"""`weftrun cancel`."""

from __future__ import annotations

import click

from weftrun.assembly import open_engine
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.options import found, journal_options, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.model.errors import RunCancelled


@click.command("cancel")
@click.argument("run", metavar="ID", shell_complete=run_ids)
@journal_options
def command(run: str, db: str | None, as_json: bool) -> None:
    """Cancel a Run. The engine that has it looks about once a second; where none has it, it is done here and now.

    No code is needed for that.
    """
    with reading(db) as reader:
        info = found(reader, run)
        asked = info.status in ("pending", "running")
        owner = reader.owner(info)
        if asked:
            reader.post_cancel(run)
    is_over = asked and (owner is None or not owner.lives) and _cancelled(run, db)
    if as_json:
        print_json({"id": run, "asked": asked, "status": "cancelled" if is_over else info.status})
    elif is_over:
        print(f"Run {run} was cancelled.")
    elif asked:
        print(f"Run {run} was asked to cancel: the engine that has it does so within about a second.")
    else:
        print(f"Run {run} has ended already: {info.status}.")


def _cancelled(run: str, db: str | None) -> bool:
    """Take over a Run that nobody has, for a moment: it reads that it is to be cancelled, and ends."""
    with open_engine(db, recover=run, sandboxes=1) as engine:
        try:
            engine.get(run).result()
        except RunCancelled:
            return True
        except Exception:  # noqa: BLE001  # another engine was quicker, and the Run ended in another way
            return False
    return False
