"""Who calls, and what they may see: each tenant its own Runs and apps."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from weftrun.entrypoints.http.problems import Refusal
from weftrun.model.errors import UsageError
from weftrun.model.limits import check_id

Scope = Literal["read", "invoke", "deploy", "admin"]
SCOPES: tuple[Scope, ...] = ("read", "invoke", "deploy", "admin")


class Caller(Struct, frozen=True):
    """Whoever a request comes from.

    Ids of a tenant's Runs begin with its name and a slash in the Journal, and the tenant never sees that; the caller
    without a tenant sees the whole Journal.

    Attributes:
        tenant: empty for the one who sees all.
        scopes: what they may do.
        token: name of their token; empty where none is needed.
    """

    tenant: str = ""
    scopes: frozenset[Scope] = frozenset(SCOPES)
    token: str = ""

    @property
    def prefix(self) -> str:
        """What ids of their Runs begin with in the Journal."""
        return f"{self.tenant}/" if self.tenant else ""

    def stored(self, id: str) -> str:
        """Return the id that a Run has in the Journal.

        Raises:
            Refusal: it can't be the id of a Run.
        """
        try:
            if self.tenant and "/" in id:
                raise UsageError(f"{id!r} can't be the id of a Run here: it has a slash.")
            return check_id(self.prefix + id)
        except UsageError as error:
            raise Refusal(422, "bad-run-id", str(error)) from None

    def shown(self, id: str) -> str:
        """Return the id of a Run, or the name of a queue, as they know it."""
        return id.removeprefix(self.prefix)

    def prefix_of(self, tenant: str) -> str:
        """Return what ids of the Runs of a tenant begin with in the Journal; empty for all that the caller may see.

        Raises:
            Refusal: they are another tenant's.
        """
        if tenant and self.tenant not in ("", tenant):
            raise Refusal(403, "not-a-tenants", f"Runs of {tenant!r} are another tenant's.")
        return self.prefix or (f"{tenant}/" if tenant else "")

    def told(self, waiting_for: str | None) -> str | None:
        """Return what a Run waits for as they know it: the name of a queue without what it has in the Journal."""
        return None if waiting_for is None else waiting_for.replace(f"queue {self.prefix}", "queue ")


NOBODY = Caller(token="(none)")
"""Whoever calls without a token that is known, where one is needed."""
EVERYBODY = Caller()
"""Whoever calls a gateway that asks for no tokens."""
