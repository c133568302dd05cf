"""Messages of a JetStream of NATS, which deduplicates by the message id for a while."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.js import JetStreamContext

from weftrun.adapters.sinks.sending import DELIVERED, UNSENT, failed, plain_key, refused, runs_of, unsure
from weftrun.model.outbox import Answer, Result
from weftrun.ports.sinks import SinkMessage

_KEY = "Nats-Msg-Id"
_DEFAULT_S = 120.0


class NatsSink:
    """Publishes each message to a subject of a JetStream and waits for the stream's acknowledgement.

    Connects for each group of messages. That the stream's `duplicate_window` is as long as was said is looked at each
    time: nothing is published to one that is shorter.

    Args:
        servers: `nats://user:password@host:port`; several of a cluster, separated by commas.
        subject: which a stream must cover.
        dedupes_for_s: `duplicate_window` of the stream, in seconds.
        timeout_s: bound of the connect and of each acknowledgement, in seconds.
    """

    keeps_order = True

    def __init__(
        self, servers: str, subject: str, *, dedupes_for_s: float = _DEFAULT_S, timeout_s: float = 10.0
    ) -> None:
        self.dedupes_for_s = dedupes_for_s
        self._servers = [server.strip() for server in servers.split(",")]
        self._subject = subject
        self._timeout_s = timeout_s

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        """Publish messages; see the port."""
        return asyncio.run(self._deliver(messages, may_begin))

    async def _deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> list[Result]:
        client = Client()
        results = [UNSENT] * len(messages)
        try:
            # Each server once: when it is tried again, the outbox decides.
            connecting = client.connect(
                self._servers,
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=max(1, int(self._timeout_s)),
                error_cb=_pass_by,
            )
            await asyncio.wait_for(connecting, self._timeout_s * len(self._servers))
            stream = client.jetstream(timeout=self._timeout_s)
            await self._check_window(stream)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            await client.close()
            return [failed(error)] * len(messages)

        async def send_run(run: list[int]) -> None:
            for position in run:
                if not may_begin():
                    return
                results[position] = await self._send(stream, messages[position])
                if results[position].answer is not Answer.DELIVERED:
                    return

        try:
            await asyncio.gather(*(send_run(run) for run in runs_of(messages)))
        finally:
            await client.close()
        return results

    async def _check_window(self, stream: JetStreamContext) -> None:
        name = await stream.find_stream_name_by_subject(self._subject)
        window_s = (await stream.stream_info(name)).config.duplicate_window or 0.0
        if window_s < self.dedupes_for_s:
            raise nats.errors.Error(
                f"the stream {name} deduplicates for {window_s:g} s, not for {self.dedupes_for_s:g} s as was said: "
                "raise its duplicate_window, or lower dedupes_for_s"
            )

    async def _send(self, stream: JetStreamContext, message: SinkMessage) -> Result:
        headers = {_KEY: plain_key(message.key), "Content-Type": message.type}
        try:
            await stream.publish(self._subject, message.payload, timeout=self._timeout_s, headers=headers)
        except nats.errors.MaxPayloadError as error:
            return refused(error)
        except (nats.js.errors.NoStreamResponseError, nats.js.errors.APIError) as error:
            return failed(error)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            return unsure(error)
        return DELIVERED

    def close(self) -> None:
        """Nothing to release between two groups."""


async def _pass_by(_: Exception) -> None:
    """What goes wrong is told by the call that it concerns."""
