"""The page on `weftrun serve`: a browser hands in a token once, and keeps it in a cookie that no script can read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Request, Response, Router, post
from litestar.params import JSONBody
from msgspec import Struct

from weftrun.entrypoints.http import access
from weftrun.entrypoints.http.given import GatewayHere
from weftrun.entrypoints.http.problems import Refusal


class PageToken(Struct, frozen=True, forbid_unknown_fields=True):
    """What a browser hands in."""

    token: str


@post("/", opt={access.OPEN: True}, status_code=204, include_in_schema=False)
async def begin(gateway: GatewayHere, request: Request[Any, Any, Any], data: JSONBody[PageToken]) -> Response[None]:
    """Let the browser that knows a token call the API with it, for as long as it is open."""
    token = data.token.strip()
    if not token.isascii() or gateway.file.find_token(token) is None:
        raise Refusal(401, "token-unknown", "The token is not known here, or was revoked.")
    return Response(None, status_code=204, headers=_cookie(token, is_secure=request.url.scheme == "https"))


def _cookie(token: str, *, is_secure: bool) -> Mapping[str, str]:
    secure = "; Secure" if is_secure else ""
    return {"Set-Cookie": f"{access.COOKIE}={token}; Path=/; HttpOnly; SameSite=Strict{secure}"}


def session_router() -> Router:
    """Return the route by which a browser is let in."""
    return Router("/session", route_handlers=[begin])
