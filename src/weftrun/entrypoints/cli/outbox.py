"""`weftrun outbox`."""

from __future__ import annotations

import sys

import click
from msgspec.structs import asdict

from weftrun.assembly import decide_emit, place_of
from weftrun.entrypoints.cli.exits import Exit
from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.emits import Emitted
from weftrun.model.errors import UsageError
from weftrun.views.emits import delivery_status_of

_COLUMNS = (
    Column("key", folds=True),
    Column("run", folds=True, rank=3),
    Column("sink", folds=True),
    Column("status"),
    Column("order by", folds=True, rank=1, if_any=True),
    Column("emitted", rank=2),
    Column("why", gives=True, folds=True, if_any=True),
)


@click.command("outbox")
@journal_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option("--send", metavar="KEY", help="Let this one be sent, as if it never had been.")
@click.option("--drop", metavar="KEY", help="Never send this one.")
def command(db: str | None, as_json: bool, limit: int, send: str | None, drop: str | None) -> int:
    """Show what Runs have emitted and no sink has yet, oldest first; or decide about one of them.

    `waiting`: an engine that has the sink delivers it. `unknown`: it may have arrived, and the sink would not know it
    again. `refused`: the sink won't have it. Such an emit holds up later ones with the same `order_by`.
    """
    if send is not None and drop is not None:
        raise UsageError("An emit is either sent or dropped: give one of --send and --drop.")
    key = send if send is not None else drop
    if key is not None:
        if not decide_emit(db, key, send=send is not None):
            print(
                f"weftrun: No emit {key!r} waits, is unknown or was refused in the Journal {place_of(db).shown}; "
                "`weftrun outbox` shows those that do.",
                file=sys.stderr,
            )
            return Exit.NOT_FOUND
        if as_json:
            print_json({"key": key, "delivery_status": "waiting" if send is not None else "dropped"})
        elif send is not None:
            print(f"{key} waits: an engine that has its sink sends it.")
        else:
            print(f"{key} was dropped.")
        return Exit.SUCCEEDED
    with reading(db) as reader:
        emits = reader.undelivered(limit + 1)
    if len(emits) > limit:
        print(f"More than {limit:,} are not delivered: --limit shows more.", file=sys.stderr)
        emits = emits[:limit]
    if as_json:
        print_json([asdict(emit) | {"delivery_status": delivery_status_of(emit)} for emit in emits])
        return Exit.SUCCEEDED
    print_table(_COLUMNS, [_row(emit) for emit in emits])
    if not emits:
        print("Nothing waits in the outbox: what was emitted has been delivered or dropped.", file=sys.stderr)
    return Exit.SUCCEEDED


def _row(emit: Emitted) -> tuple[str, ...]:
    return emit.key, emit.run, emit.sink, delivery_status_of(emit), emit.order_by or "", clock(emit.at), emit.why
