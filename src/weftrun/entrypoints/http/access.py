"""Tokens: who may call, and what. A middleware before every route finds out who calls.

It is no guard of the framework's, for that copies the whole route for each request.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final, cast

from litestar.connection import ASGIConnection
from litestar.types import ASGIApp, Message, Receive, Send
from litestar.types import Scope as AsgiScope

from weftrun.entrypoints.http.auditing import Auditing
from weftrun.entrypoints.http.callers import EVERYBODY, NOBODY, SCOPES, Caller, Scope
from weftrun.entrypoints.http.gateway import Gateway
from weftrun.entrypoints.http.problems import Refusal

OPEN: Final = "open"
"""Key in a route's `opt`: everybody may call it, also where tokens are asked for."""
SCOPE: Final = "scope"
"""Key in a route's `opt`: the scope that it asks for, or several of which one is enough; by default `read` to look,
and `invoke` for all else."""
COOKIE: Final = "weftrun_token"
"""Cookie in which a browser that shows the page keeps its token; no other site can send it."""
_CALLER: Final = "weftrun_caller"
_ASK: Final = {"WWW-Authenticate": "Bearer"}
_READS: Final = {"GET", "HEAD", "OPTIONS"}

Connection = ASGIConnection[Any, Any, Any, Any]


def middleware(app: ASGIApp) -> ASGIApp:
    """Return an ASGI app that asks another one only for who may call the route."""

    async def checked(scope: AsgiScope, receive: Receive, send: Send) -> None:
        connection: Connection = ASGIConnection(scope, receive, send)
        gateway: Gateway = connection.app.state.gateway
        if gateway.auditing is None or scope.get("method") in _READS:
            check(connection, scope["route_handler"])
            await app(scope, receive, send)
        else:
            await _audited(app, connection, gateway.auditing, send)

    return checked


async def _audited(app: ASGIApp, connection: Connection, auditing: Auditing, send: Send) -> None:
    """Serve a request that may change something, and keep who has asked for it, and what became of it."""
    scope = cast(dict[str, Any], connection.scope)
    path, status = str(scope["path"]), 0
    what = path

    async def noting(message: Message) -> None:
        nonlocal status, what
        if message["type"] == "http.response.start":
            status = int(message["status"])
            what = next((text.decode("latin-1") for name, text in message["headers"] if name == b"location"), path)
        await send(message)

    try:
        check(connection, scope["route_handler"])
        await app(cast(AsgiScope, scope), connection.receive, noting)
    except Refusal as refused:  # what is answered then goes not through here
        status = refused.problem.status
        raise
    finally:
        action = f"{scope['method']} {scope.get('path_template') or path}"
        auditing.note(caller_of(connection, NOBODY), action, what, status)


def check(connection: Connection, route: Any) -> None:
    """Find out who calls, and whether they may call a route.

    Raises:
        Refusal: 401 where a token is missing or is none, 403 where it has not the scope.
    """
    gateway: Gateway = connection.app.state.gateway
    if route.opt.get(OPEN) or not gateway.asks_for_tokens:
        _set(connection, EVERYBODY)
        return
    header = connection.headers.get("authorization", "")
    kept = connection.cookies.get(COOKIE, "") if not header else ""
    caller = _caller(gateway, f"Bearer {kept}" if kept else header)
    named = route.opt.get(SCOPE) or ("read" if cast(dict[str, Any], connection.scope)["method"] in _READS else "invoke")
    wanted: tuple[Scope, ...] = (named,) if isinstance(named, str) else named  # type: ignore[assignment]
    if not caller.scopes & {*wanted, "admin"}:
        raise _scope_missing(caller, wanted)
    _set(connection, caller)


def _scope_missing(caller: Caller, wanted: tuple[Scope, ...]) -> Refusal:
    told = ", ".join(scope for scope in SCOPES if scope in caller.scopes)
    detail = f"The token {caller.token!r} has the scopes {told}; this asks for {' or '.join(wanted)}."
    if wanted == ("read",) and "invoke" in caller.scopes:
        detail += " For the value of a Run that you start, send the start again with its `id` and `wait_s`."
    return Refusal(403, "scope-missing", detail)


def _caller(gateway: Gateway, header: str) -> Caller:
    kind, _, secret = header.partition(" ")
    if kind.lower() != "bearer" or not secret:
        detail = "This gateway asks for a token: send `Authorization: Bearer TOKEN`; `weftrun token` makes one."
        raise Refusal(401, "token-missing", detail, headers=_ASK)
    found = gateway.file.find_token(secret.strip())
    if found is None:
        raise Refusal(401, "token-unknown", "The token is not known here, or was revoked.", headers=_ASK)
    return Caller(found.tenant, frozenset(cast(tuple[Scope, ...], found.scopes)), found.name)


def _set(connection: Connection, caller: Caller) -> None:
    cast(dict[str, Any], connection.scope)[_CALLER] = caller


def caller_of(connection: Connection, unknown: Caller = EVERYBODY) -> Caller:
    """Return who calls, as `check` has found out; `unknown` where it has not."""
    found: Caller = cast(dict[str, Any], connection.scope).get(_CALLER, unknown)
    return found


def is_loopback(host: str) -> bool:
    """Say whether a host that is listened on can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
