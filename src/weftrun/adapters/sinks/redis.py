"""Entries of a Redis stream, each message once for a while, by its key."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError, ResponseError

from weftrun.adapters.sinks.sending import DELIVERED, failed, send_each, unsure
from weftrun.model.errors import UsageError
from weftrun.model.outbox import Result
from weftrun.ports.sinks import SinkMessage

# One script is one step for everybody else: the key is known if and only if the entry is there.
_ADD = """
if redis.call('EXISTS', KEYS[1]) == 0 then
    redis.call('XADD', KEYS[2], '*', 'key', ARGV[2], 'payload', ARGV[3], 'type', ARGV[4], 'order_by', ARGV[5])
    redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
end
"""
_DAY_S = 86_400.0
_WINDOW_MIN_S = 0.001


class RedisSink:
    """Appends an entry to a stream for each message, with the fields key, payload, type and order_by.

    Beside the stream stands a key `{stream}:sent:<key>` for each message, which expires. How much of this survives a
    crash of the server is for its settings to say (`appendfsync always` keeps all of it).

    Args:
        url: `redis://user:password@host:port/0`, `rediss://…`, or `unix://…`.
        stream: its name.
        dedupes_for_s: for how long a message is known again, in seconds; at least a millisecond, and not for ever.
        timeout_s: bound of each connect and request, in seconds.
    """

    keeps_order = True

    def __init__(self, url: str, stream: str, *, dedupes_for_s: float = 7 * _DAY_S, timeout_s: float = 10.0) -> None:
        if not _WINDOW_MIN_S <= dedupes_for_s < math.inf:
            raise UsageError(
                f"A key in Redis can't expire after dedupes_for_s={dedupes_for_s}: give a number of seconds."
            )
        self.dedupes_for_s = dedupes_for_s
        self._stream = stream
        # Not tried again by the library: whether that is right depends on the window, which it doesn't know.
        self._client = redis.Redis.from_url(
            url, socket_timeout=timeout_s, socket_connect_timeout=timeout_s, retry=None, retry_on_error=[]
        )
        self._add = self._client.register_script(_ADD)

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Append the entries that are not known yet; see the port."""
        try:
            self._client.ping()
        except (RedisError, OSError) as error:
            return [failed(error)] * len(messages)
        return send_each(messages, may_begin, self._send)

    def _send(self, message: SinkMessage) -> Result:
        # The braces let a cluster keep both on the same server.
        keys = [f"{{{self._stream}}}:sent:{message.key}", self._stream]
        window_ms = int(self.dedupes_for_s * 1000)
        try:
            self._add(keys, [window_ms, message.key, message.payload, message.type, message.order_by or ""])
        except (AuthenticationError, BusyLoadingError, ResponseError) as error:
            return failed(error)
        except (RedisError, OSError) as error:
            return unsure(error)
        return DELIVERED

    def close(self) -> None:
        """Release connections. Idempotent."""
        self._client.close()
