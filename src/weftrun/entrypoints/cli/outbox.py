"""`weftrun outbox`."""

from __future__ import annotations

import click

from weftrun.assembly import decide_emit
from weftrun.entrypoints.cli.options import journal_options, reading
from weftrun.entrypoints.cli.output import clock, print_json, print_table, shown_text
from weftrun.model.emits import Emitted
from weftrun.model.errors import UsageError
from weftrun.views.emits import standing_of


@click.command("outbox")
@journal_options
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True, help="Show at most so many.")
@click.option("--send", metavar="KEY", help="Let this one be sent, as if it never had been.")
@click.option("--drop", metavar="KEY", help="Never send this one.")
def command(db: str | None, as_json: bool, limit: int, send: str | None, drop: str | None) -> None:
    """Show what Runs have emitted and no sink has yet, oldest first; or decide about one of them.

    `waiting`: an engine that has the sink delivers it. `unknown`: it may have arrived, and the sink would not know it
    again. `refused`: the sink won't have it. What stands so holds up later ones with the same `order_by`.
    """
    if send and drop:
        raise UsageError("An emit is either sent or dropped: give one of --send and --drop.")
    if send or drop:
        key = send or drop or ""
        if not decide_emit(db, key, send=bool(send)):
            raise UsageError(f"No emit {key!r} waits, is unknown or was refused; `weftrun outbox` shows those that do.")
        return
    with reading(db) as reader:
        emits = reader.undelivered(limit)
    if as_json:
        print_json(emits)
        return
    print_table(("key", "run", "sink", "stands", "order by", "emitted", "why"), [_row(emit) for emit in emits])


def _row(emit: Emitted) -> tuple[str, ...]:
    order = shown_text(emit.order_by or "")
    return emit.key, emit.run, emit.sink, standing_of(emit), order, clock(emit.at), shown_text(emit.why)
