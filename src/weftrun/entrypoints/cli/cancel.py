"""`weftrun cancel`."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from weftrun.assembly import open_engine
from weftrun.entrypoints.cli.bulk import RunChoice, RunTold, Standing, choice_options, chosen, is_bulk, show_chosen
from weftrun.entrypoints.cli.candidates import run_ids
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.options import found, journal_options, reading
from weftrun.entrypoints.cli.output import print_json
from weftrun.entrypoints.cli.terminal import one_line
from weftrun.model.errors import RunCancelled
from weftrun.views.units import count_of


@click.command("cancel")
@click.argument("run", metavar="[ID]", required=False, shell_complete=run_ids)
@choice_options("open", "parked")
@click.option("--force", is_flag=True, help="End it at once: undo nothing that has a `compensate`, or no more of it.")
@journal_options
def command(
    run: str | None, standing: Standing | None, function: str, begins: str, dry_run: bool, db: str | None,
    as_json: bool, force: bool,
) -> int:  # fmt: skip
    """Cancel a Run. The engine that has it looks about once a second; where none has it, it is done here and now.

    No code is needed for that, unless its workflow has to undo something (`compensate`). Without an ID: all open Runs
    that --status, --function and --begins choose.
    """
    choice = RunChoice(standing, function, begins, dry_run)
    if is_bulk(run, choice) or run is None:
        return _cancel_all(choice, db, as_json=as_json, force=force)
    with reading(db) as reader:
        info = found(reader, run)
        asked = info.status in ("pending", "running")
        owner = reader.owner(info)
        if asked:
            reader.post_cancel(run, force=force)
    is_over = asked and (owner is None or not owner.lives) and list(_cancelled([run], db)) == [run]
    if as_json:
        print_json({"id": run, "asked": asked, "status": "cancelled" if is_over else info.status})
    elif is_over:
        print(f"Run {run} was cancelled.")
    elif asked:
        print(f"Run {run} was asked to cancel: the engine that has it does so within about a second.")
    else:
        print(f"Run {run} has ended already: {info.status}.")
    return Exit.SUCCEEDED


def _cancel_all(choice: RunChoice, db: str | None, *, as_json: bool, force: bool) -> int:
    """Ask for all Runs that are chosen to be cancelled, and end those that no engine has."""
    with reading(db) as reader:
        infos = chosen(reader, choice, may_be=("open", "parked"))
        if choice.dry_run:
            return show_chosen(infos, as_json=as_json)
        reader.post_cancels([info.uid for info in infos], force=force)
        owners = [owner for owner, _ in reader.doing(infos)]
    alone = [info.id for info, owner in zip(infos, owners, strict=True) if owner is None or not owner.lives]
    over = set(_cancelled(alone, db)) if alone else set()
    told = [RunTold(info.id, "cancelled" if info.id in over else info.status) for info in infos]
    if as_json:
        print_json(told)
    else:
        for one in told:
            print(f"{one_line(one.id)}\t{'cancelled' if one.status == 'cancelled' else 'asked to cancel'}")
    print(f"{count_of(len(told), 'Run')}: {len(over):,} cancelled, the others by their engines.", file=sys.stderr)
    return Exit.SUCCEEDED


def _cancelled(ids: Sequence[str], db: str | None) -> Iterator[str]:
    """Take over Runs that nobody has, for a moment: each reads that it is to be cancelled, and ends. Yield those."""
    with open_engine(db, recover="none", sandboxes=1) as engine:
        for id in ids:
            try:
                engine.get(id).result()
            except RunCancelled:
                yield id
            except Exception:  # noqa: BLE001  # another engine was quicker, and the Run ended in another way
                continue
