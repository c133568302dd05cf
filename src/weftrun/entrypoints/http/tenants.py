"""The route of tenants: which there are, how much of the gateway each may take, and how much it takes now."""

from __future__ import annotations

from litestar import Response, get
from msgspec import Struct

from weftrun.entrypoints.http.answers import json_answer
from weftrun.entrypoints.http.callers import Caller
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.given import CallerHere, GatewayHere
from weftrun.entrypoints.http.problems import problems
from weftrun.model.quotas import Quota, QuotaUsed


class TenantShown(Struct, frozen=True):
    """A tenant.

    Attributes:
        name: empty for whoever has none.
        quota: what was said of it, as `weftrun quota` has it; None where nothing was.
        used: what it takes of this server now; None where nothing is counted, since no start could be refused.
    """

    name: str
    quota: Quota | None
    used: QuotaUsed | None


class TenantsShown(Struct, frozen=True):
    """The tenants that a caller may see.

    Attributes:
        own: the tenant of the caller; empty for whoever sees all.
        runs_at_once: Runs of all together that may be open here; None for no bound.
    """

    own: str
    tenants: list[TenantShown]
    runs_at_once: int | None


@get("/tenants", summary="Show tenants, their quotas and what is used", responses=problems(400))
async def list_tenants(gateway: GatewayHere, caller: CallerHere) -> Response[TenantsShown]:
    """Return tenants that have a token, an app or a quota; to a tenant, itself alone."""
    return json_answer(_shown(gateway, caller))


def _shown(gateway: Gateway, caller: Caller) -> TenantsShown:
    quotas, admission = gateway.file.quotas(), gateway.admitting.admission
    if caller.tenant:
        names = {caller.tenant}
    else:
        names = {token.tenant for token in gateway.file.tokens()} | {app.tenant for app in gateway.file.apps()}
        names |= quotas.keys() | admission.tenants()
    told = [
        TenantShown(name, quotas.get(name), admission.used(name) if admission.is_on else None) for name in sorted(names)
    ]
    return TenantsShown(caller.tenant, told, admission.at_once if not caller.tenant else None)


ROUTES = [list_tenants]
"""All of this module, under `/api/v1`."""
