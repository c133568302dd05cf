"""Who may see the page: whoever opens the printed address first, and then this browser.

The address has a token that is good once. It is exchanged for a cookie that no script can read and no other site can
send, so another user of the host, or a page of another site, gets nothing (OWASP: Session Management).
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs

from litestar.types import ASGIApp, Message, Receive, Scope, Send

from weftrun.ports.entropy import Entropy

PAGES: Final = Path(__file__).with_name("page")
_COOKIE: Final = "weftrun"
_SECURITY: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)


class Door:
    """Lets one browser in.

    Args:
        entropy: draws the token and what the cookie has.

    Attributes:
        token: what the printed address has; None once it was used.
    """

    def __init__(self, entropy: Entropy) -> None:
        self.token: str | None = entropy.uid()
        self._session = entropy.uid()

    def __call__(self, app: ASGIApp) -> ASGIApp:
        """Return the app behind this door (an ASGI middleware)."""

        async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
            if self._is_known(scope):
                await app(scope, receive, _adding(send))
            elif self._has_token(scope):
                self.token = None
                cookie = f"{_COOKIE}={self._session}; Path=/; HttpOnly; SameSite=Strict"
                await _answer(send, 303, [(b"location", b"/"), (b"set-cookie", cookie.encode())], b"")
            else:
                await _answer(send, 403, [(b"content-type", b"text/plain; charset=utf-8")], _REFUSED)

        return guarded

    def _has_token(self, scope: Any) -> bool:
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if self.token is None or scope["path"] != "/":
            return False
        return hmac.compare_digest(given.encode(), self.token.encode())

    def _is_known(self, scope: Any) -> bool:
        for name, value in scope["headers"]:
            if name == b"cookie":
                try:
                    cookies = SimpleCookie(value.decode("latin-1"))
                except CookieError:
                    return False
                if _COOKIE in cookies:
                    return hmac.compare_digest(cookies[_COOKIE].value.encode(), self._session.encode())
        return False


def secured(app: ASGIApp) -> ASGIApp:
    """Return an app whose answers have the headers that keep foreign scripts out (an ASGI middleware)."""

    async def answered(scope: Scope, receive: Receive, send: Send) -> None:
        await app(scope, receive, _adding(send))

    return answered


_REFUSED: Final = b"This page is shown to the browser that opened the printed address first. Start weftrun ui again.\n"


def _adding(send: Send) -> Send:
    """Return `send` with the headers that keep foreign scripts out of every answer."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            known = {name.lower() for name, _ in message["headers"]}
            added = [(name, value) for name, value in _SECURITY if name not in known]
            message["headers"] = [*message["headers"], *added]
        await send(message)

    return sent


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    start: Any = {"type": "http.response.start", "status": status, "headers": [*headers, *_SECURITY]}
    end: Any = {"type": "http.response.body", "body": body, "more_body": False}
    await send(start)
    await send(end)
