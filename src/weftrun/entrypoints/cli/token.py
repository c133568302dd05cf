"""`weftrun token`."""

from __future__ import annotations

import click
from msgspec.structs import asdict

from weftrun.adapters.sqlite.gateway import Audited, GatewayFile, Token
from weftrun.adapters.system.clock import WallClock
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.entrypoints.cli.gateway_file import gateway_file
from weftrun.entrypoints.cli.options import journal_options
from weftrun.entrypoints.cli.output import clock, print_json
from weftrun.entrypoints.cli.table import Column, print_table
from weftrun.model.errors import UsageError
from weftrun.model.telling import did_you_mean

_SCOPES = ("read", "invoke", "deploy", "admin")
_COLUMNS = (Column("name"), Column("tenant"), Column("scopes"), Column("made"))


@click.command("token")
@click.argument("name", metavar="[NAME]", required=False)
@journal_options
@click.option("--tenant", help="Whose Runs and apps it is for; by default it sees the whole Journal.")
@click.option("--scope", "scopes", type=click.Choice(_SCOPES), multiple=True, help="May be given again; default: read.")
@click.option("--revoke", is_flag=True, help="Let it count no more.")
def command(
    name: str | None, db: str | None, as_json: bool, tenant: str | None, scopes: tuple[str, ...], revoke: bool
) -> None:
    """Make a token for callers of the gateway on a Journal, and print it once; without NAME, list what there is.

    `admin` includes all other scopes. A gateway that runs sees at once what is made and revoked. --revoke takes
    --tenant only where several tenants have a token of this name.
    """
    check_tenant(tenant or "")
    if name is None and (scopes or revoke or tenant is not None):
        raise UsageError("Which token is it? Name it: `weftrun token NAME`.")
    if name == "":
        raise UsageError("A token has a name, by which it is listed and revoked: `weftrun token NAME`.")
    if revoke and scopes:
        raise UsageError("--revoke ends a token with all its scopes: give no --scope beside it.")
    with gateway_file(db, makes=name is not None and not revoke) as file:
        if name is None:
            _list(file.tokens() if file is not None else [], as_json=as_json)
        elif revoke:
            _revoke(file, name, tenant, as_json=as_json)
        elif file is not None:
            _make(file, Token(tenant or "", name, scopes or ("read",), WallClock().now()), as_json=as_json)


def _revoke(file: GatewayFile | None, name: str, tenant: str | None, *, as_json: bool) -> None:
    tokens = file.tokens() if file is not None else []
    found = [token for token in tokens if token.name == name and tenant in (None, token.tenant)]
    if file is None or not found:
        whose = "" if tenant is None else f" of the tenant {tenant!r}" if tenant else " without a tenant"
        hint = did_you_mean(name, {token.name for token in tokens} - {name})
        raise UsageError(f"There is no token {name!r}{whose}: `weftrun token` lists them.{hint}")
    if len(found) > 1:
        ways = " or ".join(f"--tenant {token.tenant or chr(39) * 2}" for token in found)
        raise UsageError(f"{len(found)} tenants have a token {name!r}: say whose it is, by {ways}.")
    (token,) = found
    if not file.drop_token(token.tenant, name):
        raise UsageError(f"The token {name!r} has just been revoked by somebody else.")
    file.put_audit([Audited(WallClock().now(), token.tenant, "", "token revoked", name, 0)])
    if as_json:
        print_json({"tenant": token.tenant, "name": name, "revoked": True})
    else:
        print(f"The token {name}{f' of the tenant {token.tenant}' if token.tenant else ''} counts no more.")


def check_tenant(tenant: str) -> None:
    """Refuse what can't be the name of a tenant."""
    if tenant and not (tenant.isascii() and tenant.replace("-", "").replace("_", "").isalnum() and len(tenant) <= 64):
        raise UsageError(f"{tenant!r} can't be the name of a tenant: it takes 1 to 64 letters, digits, - and _.")


def _list(tokens: list[Token], *, as_json: bool) -> None:
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
