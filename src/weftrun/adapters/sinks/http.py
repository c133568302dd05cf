"""Requests to an HTTP server that deduplicates by an `Idempotency-Key`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import httpx

from weftrun.adapters.sinks.sending import DELIVERED, SharedClient, failed, plain_key, refused, unsure
from weftrun.model.outbox import Result
from weftrun.ports.sinks import SinkMessage

_TOO_MANY = 429
_PASSING = frozenset({408, 409, 423, 425})
"""Answers that say: not now. 409: the first request with this key is still being worked on."""
_OURS = range(400, 500)
_REDIRECTS = range(300, 400)


class HttpSink:
    """Sends each message as the body of a request, with its key in a header.

    2xx means that it was delivered. 408, 409, 423, 425 and 5xx leave open whether it was: it is sent again with its
    key. 429, and a connection that could not be made, mean that it was not. Other answers refuse the message.

    Args:
        url: where to.
        dedupes_for_s: for how long the server knows a key again, in seconds; only who runs it can say. 0 where it
            doesn't look at keys.
        method: of the request.
        headers: of every request, for instance a token.
        key_header: name of the header with the key.
        timeout_s: bound of each wait inside a request, in seconds.
        at_once: requests under way at the same time.
    """

    keeps_order = True

    def __init__(
        self,
        url: str,
        *,
        dedupes_for_s: float,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        key_header: str = "Idempotency-Key",
        timeout_s: float = 10.0,
        at_once: int = 8,
    ) -> None:
        self.dedupes_for_s = dedupes_for_s
        self._url = url
        self._method = method
        self._headers = dict(headers or {})
        self._key_header = key_header
        limits = httpx.Limits(max_connections=at_once)
        self._at_once = SharedClient(lambda: httpx.Client(timeout=timeout_s, limits=limits), at_once, "weftrun-http")

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Send a request for each message; see the port."""
        return self._at_once.send_each(messages, may_begin, self._send)

    def _send(self, client: httpx.Client, message: SinkMessage) -> Result:
        headers = {"Content-Type": message.type, self._key_header: plain_key(message.key), **self._headers}
        try:
            response = client.request(self._method, self._url, content=message.payload, headers=headers)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol) as error:
            return failed(error)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return unsure(error)
        status = response.status_code
        why = f"the server answered {status} {response.reason_phrase}: {response.text}"
        if response.is_success:
            return DELIVERED
        if status == _TOO_MANY:
            return failed(why)
        if (status in _OURS and status not in _PASSING) or status in _REDIRECTS:
            return refused(why)
        return unsure(why)

    def close(self) -> None:
        """Release connections. Idempotent."""
        self._at_once.close()
