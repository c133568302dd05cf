"""One call over HTTP: bounded in time, in bytes and in redirects; what is known of a failure is told apart.

Semantics of status codes after RFC 9110 and, for 425, RFC 8470. The standard library's client is enough for one request
on one connection, and costs a Sandbox no further import.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import threading
import time
import urllib.parse
from collections.abc import Mapping
from typing import Final, NamedTuple

from weftrun.model.errors import RemoteBusy, RemoteFailed, RemoteRefused, RemoteUnknown, UsageError

_REDIRECTS_MAX: Final = 3
_CONNECT_S: Final = 10.0
_BUSY: Final = (408, 425, 429, 503)
"""The server has not begun, and may later."""
_NOBODY_KNOWS: Final = (502, 504)
"""A gateway on the way has no answer: whether the Function was entered is not known."""
_NOT_BEGUN: Final = (501, 505)
_SHOWN_BYTES: Final = 500
_NOBODY: Final = "; whether it was entered, nobody knows."


class Address(NamedTuple):
    """Where a URL leads to; two with the same `origin` are one server."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def origin(self) -> tuple[str, str, int]:
        """What must stay the same in a redirect."""
        return self.scheme, self.host, self.port

    @staticmethod
    def of(url: str) -> Address:
        """Read a URL.

        Raises:
            UsageError: it is no absolute `http` or `https` URL, or it holds a password.
        """
        try:
            parts = urllib.parse.urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UsageError(f"{url!r} is no URL: {error}.") from None
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{url!r} is no URL of a Function: it begins with http:// or https:// and names a host.")
        if parts.username is not None or parts.password is not None:
            raise UsageError("The URL of a Function holds no name and no password: give a token by `token_from=`.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if any(ord(sign) <= 32 or ord(sign) > 126 for sign in target):
            raise UsageError(f"{url!r} is no URL: what is no plain ASCII in it must be written with percent signs.")
        return Address(parts.scheme, parts.hostname, port or {"http": 80, "https": 443}[parts.scheme], target)


class RemoteAnswer(NamedTuple):
    """What a server has answered."""

    status: int
    kind: str
    body: bytes


class _Watch:
    """Ends a connection at its deadline, whatever it is doing: a server that sends a byte a second is late, too."""

    def __init__(self, sock: socket.socket, left_s: float) -> None:
        self.late = False
        self._sock = sock
        self._timer = threading.Timer(left_s, self._end)
        self._timer.daemon = True
        self._timer.start()

    def _end(self) -> None:
        self.late = True
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._sock, socket.SHUT_RDWR)

    def cancel(self) -> None:
        self._timer.cancel()


def post(url: str, body: bytes, headers: Mapping[str, str], *, deadline_s: float, bytes_max: int) -> RemoteAnswer:
    """Send a call and return the answer, whose status is one of success or says that the Function has failed.

    Args:
        url: of the Function. Redirects that keep the method (307, 308) are followed within its server, at most 3.
        headers: sent as they are.
        deadline_s: longest time from here to the whole answer.
        bytes_max: of the answer.

    Raises:
        RemoteRefused: the Function was not entered: no connection, or an answer that says so (`RemoteBusy` where it
            may be later).
        RemoteFailed: the answer is longer than `bytes_max`.
        RemoteUnknown: the call was sent, and there is no whole answer.
    """
    address = Address.of(url)
    until = time.monotonic() + deadline_s
    for _ in range(_REDIRECTS_MAX + 1):
        answer, location = _exchange(address, body, headers, until, bytes_max)
        if answer.status not in (307, 308):
            return _checked(address, answer)
        there = Address.of(
            urllib.parse.urljoin(f"{address.scheme}://{address.host}:{address.port}{address.target}", location)
        )
        if there.origin != address.origin:
            raise RemoteRefused(
                f"{_named(address)} sends the call on to another server, {there.host}: name that as URL."
            )
        address = there
    raise RemoteRefused(f"{_named(address)} sends the call on more than {_REDIRECTS_MAX} times.")


def _exchange(
    address: Address, body: bytes, headers: Mapping[str, str], until: float, bytes_max: int
) -> tuple[RemoteAnswer, str]:
    connection = _connected(address, until)
    watch = _Watch(connection.sock, max(until - time.monotonic(), 0.0))
    try:
        # A server that refuses what comes may answer, and close, before it has read it all.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            connection.request("POST", address.target, body, dict(headers))
        response = connection.getresponse()
        return _read(address, response, bytes_max), response.headers.get("Location", "")
    except (OSError, http.client.HTTPException, ValueError) as error:
        if watch.late:
            raise RemoteUnknown(f"{_named(address)} has not answered in time{_NOBODY}") from None
        raise RemoteUnknown(
            f"{_named(address)} was sent the call, and gave no whole answer: {_told(error)}{_NOBODY}"
        ) from None
    finally:
        watch.cancel()
        connection.close()


def _connected(address: Address, until: float) -> http.client.HTTPConnection:
    left_s = until - time.monotonic()
    if left_s <= 0:
        raise RemoteRefused(f"{_named(address)} was not called: its deadline was over before.")
    timeout_s = min(left_s, _CONNECT_S)
    if address.scheme == "https":
        context = ssl.create_default_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.host, address.port, timeout=timeout_s, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.host, address.port, timeout=timeout_s)
    try:
        connection.connect()
    except (OSError, ValueError) as error:  # UnicodeError, a ValueError, is what a host's name may give
        kind = RemoteRefused if isinstance(error, ssl.SSLCertVerificationError | ValueError) else RemoteBusy
        raise kind(f"{_named(address)} can't be reached: {_told(error)}.") from None
    connection.sock.settimeout(None)  # from here on the watch ends it
    return connection


def _read(address: Address, response: http.client.HTTPResponse, bytes_max: int) -> RemoteAnswer:
    declared = response.length
    if declared is not None and declared > bytes_max:
        raise _too_long(address, f"{declared:,}", bytes_max)
    body = response.read(bytes_max + 1)
    if len(body) > bytes_max:
        raise _too_long(address, "more", bytes_max)
    if declared is not None and len(body) < declared:
        raise http.client.IncompleteRead(body, declared - len(body))
    if declared is None and not response.chunked and 200 <= response.status < 300:
        raise ValueError("it does not say how long it is, so nobody can tell whether it was cut off")
    return RemoteAnswer(response.status, response.headers.get_content_type(), body)


def _too_long(address: Address, nbytes: str, bytes_max: int) -> RemoteFailed:
    return RemoteFailed(f"{_named(address)} answers {nbytes} bytes, and {bytes_max:,} are allowed (answer_bytes_max).")


def _checked(address: Address, answer: RemoteAnswer) -> RemoteAnswer:
    """Return an answer of success or failure; raise what all others mean."""
    status = answer.status
    said = f"{_named(address)} answered {status}"
    told = answer.body[:_SHOWN_BYTES].decode("utf-8", "replace").strip()
    said += f": {told}" if told.isprintable() and told else "."
    if 200 <= status < 300 or (status >= 500 and status not in (*_BUSY, *_NOBODY_KNOWS, *_NOT_BEGUN)):
        return answer
    if status in _BUSY:
        raise RemoteBusy(said)
    if status in _NOBODY_KNOWS:
        raise RemoteUnknown(said)
    raise RemoteRefused(said)


def _named(address: Address) -> str:
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}:{address.port}{address.target.partition('?')[0]}"


def _told(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return f"it ended after {len(error.partial):,} bytes"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection"
    text = " ".join((getattr(error, "strerror", None) or str(error) or type(error).__name__).split())
    return text[:_SHOWN_BYTES].rstrip(".")
