"""`weftrun audit`."""

from __future__ import annotations

import click
from msgspec.structs import asdict

from weftrun.entrypoints.cli.gateway_file import gateway_file
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.errors import UsageError

_COLUMNS = (Column("when"), Column("tenant"), Column("who"), Column("did"), Column("to"), Column("status"))


@click.command("audit")
@journal_options
@click.option("--tenant", help="Only what this tenant did, or what was done for it.")
@click.option("--last", type=click.IntRange(1, 100_000), default=100, show_default=True, help="So many of them.")
def command(db: str | None, as_json: bool, tenant: str | None, last: int) -> None:
    """Show who did what at the gateway on a Journal, the newest last.

    It keeps each request that may change something of a gateway that asks for tokens, also those that were refused, and
    which tokens and quotas were made here: the last 100,000.
    """
    with gateway_file(db, makes=False) as file:
        if file is None:
            raise UsageError(
                "No gateway has been on this Journal, nor was a token made for one: there is nothing to show. --db "
                "names another Journal."
            )
        rows = file.audit(tenant, last)
    if as_json:
        print_json([asdict(row) for row in rows])
        return
    shown = [
        (
            clock(row.at),
            row.tenant or "(all)",
            row.token or "(command line)",
            row.action,
            row.what,
            str(row.status or ""),
        )
        for row in rows
    ]
    print_table(_COLUMNS, shown)
