"""`weftrun token`."""

from __future__ import annotations

import click
from msgspec.structs import asdict

from weftrun.adapters.sqlite.gateway import Audited, GatewayFile, Token
from weftrun.adapters.system.clock import WallClock
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly import place_of
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.errors import UsageError

_SCOPES = ("read", "invoke", "deploy", "admin")
_COLUMNS = (Column("name"), Column("tenant"), Column("scopes"), Column("made"))


@click.command("token")
@click.argument("name", metavar="[NAME]", required=False)
@journal_options
@click.option("--tenant", default="", help="Whose Runs and apps it is for; by default it sees the whole Journal.")
@click.option("--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, help="May be given again; default: read.")
@click.option("--revoke", is_flag=True, help="Let it count no more.")
def command(
    name: str | None, db: str | None, as_json: bool, tenant: str, scopes: tuple[str, ...], revoke: bool
) -> None:
    """Make a token for callers of the gateway on a Journal, and print it once; without NAME, list what there is.

    `admin` includes all other scopes. A gateway that runs sees at once what is made and revoked.
    """
    check_tenant(tenant)
    place = place_of(db)
    place.folder.mkdir(parents=True, exist_ok=True)
    file = GatewayFile(place.folder / "gateway.db")
    try:
        if name is None:
            _list(file, as_json=as_json)
        elif revoke:
            if not file.drop_token(tenant, name):
                raise UsageError(f"There is no token {name!r} of the tenant {tenant!r}: `weftrun token` lists them.")
            file.put_audit([Audited(WallClock().now(), tenant, "", "token revoked", name, 0)])
            print(f"The token {name} counts no more.")
        else:
            _make(file, Token(tenant, name, scopes or ("read",), WallClock().now()), as_json=as_json)
    finally:
        file.close()


def check_tenant(tenant: str) -> None:
    """Refuse what can't be the name of a tenant."""
    if tenant and not (tenant.isascii() and tenant.replace("-", "").replace("_", "").isalnum() and len(tenant) <= 64):
        raise UsageError(f"{tenant!r} can't be the name of a tenant: it takes 1 to 64 letters, digits, - and _.")


def _list(file: GatewayFile, *, as_json: bool) -> None:
    tokens = file.tokens()
    if as_json:
        print_json([asdict(token) for token in tokens])
        return
    rows = [(token.name, token.tenant or "(all)", ", ".join(token.scopes), clock(token.made_at)) for token in tokens]
    print_table(_COLUMNS, rows)


def _make(file: GatewayFile, token: Token, *, as_json: bool) -> None:
    entropy = SystemEntropy()
    secret = f"wft_{entropy.uid()}{entropy.uid()}"
    file.put_token(secret, token)
    told = f"{token.name}: {', '.join(token.scopes)}"
    file.put_audit([Audited(token.made_at, token.tenant, "", "token made", told, 0)])
    if as_json:
        print_json({**asdict(token), "token": secret})
    else:
        print(secret)
