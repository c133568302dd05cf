"""What a gateway keeps beside the Journal, in a file of its own: which apps it serves, and who may call."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
from msgspec import Struct
from msgspec.structs import astuple

from weftrun.adapters.sql.statements import read_statements
from weftrun.model.errors import JournalError, UsageError
from weftrun.model.policy import Bundle
from weftrun.model.quotas import Quota
from weftrun.model.translation import Described

_SQL = read_statements(__package__, "gateway.sql")
_BUSY_MS = 5_000
_AUDITED_MAX = 100_000
_encode = msgspec.msgpack.Encoder().encode
_decode_bundle = msgspec.msgpack.Decoder(Bundle).decode
_decode_quota = msgspec.msgpack.Decoder(Quota).decode
_decode_functions = msgspec.msgpack.Decoder(tuple[Described, ...]).decode


class Deployed(Struct, frozen=True):
    """An app as it was deployed last. `deployed_at` is in seconds since the epoch."""

    tenant: str
    name: str
    version: str
    deployed_at: float
    bundle: Bundle
    functions: tuple[Described, ...]


class Token(Struct, frozen=True):
    """A token, without what it is: that is kept nowhere. `made_at` is in seconds since the epoch."""

    tenant: str
    name: str
    scopes: tuple[str, ...]
    made_at: float


class Audited(Struct, frozen=True):
    """What somebody did, or was not let.

    Attributes:
        at: seconds since the epoch.
        tenant, token: who: a token by its name; empty for the command line, or where no tokens are asked for.
        action: a method and a path of HTTP, or what the command line did.
        what: the path, or the thing, that it was done to.
        status: of HTTP; 0 for the command line.
    """

    at: float
    tenant: str
    token: str
    action: str
    what: str
    status: int


class GatewayFile:
    """The file. Its methods may be called from any thread.

    Args:
        path: in a folder that exists; only the user may read it.

    Raises:
        JournalError: it can't be used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        with self._translated():
            os.close(os.open(path, os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._connection = apsw.Connection(str(path))
            self._connection.set_busy_timeout(_BUSY_MS)
            self._connection.pragma("journal_mode", "wal")
            self._connection.pragma("synchronous", "full")
            for statement in ("make_apps", "make_tokens", "make_quotas", "make_audit"):
                self._connection.execute(_SQL[statement])

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (apsw.Error, OSError) as error:
            raise JournalError(f"{self._path} can't be used: {error}.") from error

    def _said(self, statement: str, bindings: Sequence[Any] = ()) -> list[Any]:
        with self._lock, self._translated():
            return self._connection.execute(_SQL[statement], bindings).fetchall()

    def put_app(self, app: Deployed) -> None:
        """Keep what was deployed; return once it is durable."""
        facts = (app.tenant, app.name, app.version, app.deployed_at, _encode(app.bundle), _encode(app.functions))
        self._said("put_app", facts)

    def apps(self) -> list[Deployed]:
        """Return what was deployed last of each app."""
        return [
            Deployed(tenant, name, version, at, _decode_bundle(bundle), _decode_functions(functions))
            for tenant, name, version, at, bundle, functions in self._said("apps")
        ]

    def drop_app(self, tenant: str, name: str) -> bool:
        """Forget an app; say whether it was there."""
        return bool(self._said("drop_app", (tenant, name)))

    def put_token(self, secret: str, token: Token) -> None:
        """Keep the hash of a token.

        Raises:
            UsageError: the tenant has one of this name.
        """
        try:
            facts = (token.tenant, token.name, ",".join(token.scopes), token.made_at)
            with self._lock:
                self._connection.execute(_SQL["put_token"], (_hash(secret), *facts))
        except apsw.ConstraintError:
            raise UsageError(f"There is a token {token.name!r} already: revoke it, or give another name.") from None

    def find_token(self, secret: str) -> Token | None:
        """Return what is known of a token; None for one that is not there."""
        found = self._said("find_token", (_hash(secret),))
        return _token(found[0]) if found else None

    def tokens(self) -> list[Token]:
        """Return all tokens."""
        return [_token(facts) for facts in self._said("tokens")]

    def drop_token(self, tenant: str, name: str) -> bool:
        """Let a token count no more; say whether it was there."""
        return bool(self._said("drop_token", (tenant, name)))

    def version(self) -> int:
        """Return a number that is another one after another connection has changed anything; it costs no read."""
        with self._lock, self._translated():
            return int(self._connection.pragma("data_version"))

    def put_quota(self, tenant: str, quota: Quota) -> None:
        """Keep how much a tenant may take, in the place of what was said before."""
        self._said("put_quota", (tenant, _encode(quota)))

    def quotas(self) -> dict[str, Quota]:
        """Return how much each tenant may take of which anything was said."""
        return {tenant: _decode_quota(quota) for tenant, quota in self._said("quotas")}

    def drop_quota(self, tenant: str) -> bool:
        """Let a tenant take as much as there is; say whether anything was said of it."""
        return bool(self._said("drop_quota", (tenant,)))

    def put_audit(self, rows: Sequence[Audited]) -> None:
        """Keep what was done; beyond the last 100,000 the oldest are forgotten."""
        with self._lock, self._translated(), self._connection:
            self._connection.executemany(_SQL["put_audit"], [astuple(row) for row in rows])
            self._connection.execute(_SQL["prune_audit"], (_AUDITED_MAX,))

    def audit(self, tenant: str | None, last: int) -> list[Audited]:
        """Return what was done last, oldest first; of one tenant, or of all where it is None."""
        return [Audited(*facts) for facts in self._said("audit", (tenant, last))]

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()


def _hash(secret: str) -> bytes:
    """Return what is kept of a token. It has as much chance as its hash: no salt and no slow hash could add to that."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _token(facts: tuple[str, str, str, float]) -> Token:
    tenant, name, scopes, made_at = facts
    return Token(tenant, name, tuple(filter(None, scopes.split(","))), made_at)
