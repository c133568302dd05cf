"""Carries what an engine and one Worker say over Ray: the engine speaks over a socket, as with a Worker on its host."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import msgspec
import ray
from ray.exceptions import RayError

from weftrun.adapters.ray.parcels import deliver, packed
from weftrun.model.hosts import FromWorker, HoldUntil, ToWorker
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.wire.channel import Channel
from weftrun.wire.lease_page import host_clock_s

_UNDER_WAY_MAX: Final = 64
_END_S: Final = 10.0


class WorkerLink:
    """Two threads beside an actor: one says what the engine says, the other hears what the Worker says.

    Args:
        sock: this end of the pair whose other end is the engine's.
        ended: called once, in one of these threads, when the actor is gone, with the reason in one clause.
    """

    def __init__(self, actor: Any, sock: socket.socket, ended: Callable[[str], None]) -> None:
        self._actor = actor
        self._channel: Channel[ToWorker] = Channel(sock, ToWorker, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
        self._ended = ended
        self._sayer = threading.Thread(target=self._say, name="weftrun-ray-say", daemon=True)
        self._hearer = threading.Thread(target=self._hear, name="weftrun-ray-hear", daemon=True)
        self._sayer.start()
        self._hearer.start()

    def kill(self) -> None:
        """End the actor, where Ray reaches it. Takes no time, and may be called from any thread."""
        threading.Thread(target=self._kill, name="weftrun-ray-kill", daemon=True).start()

    def _kill(self) -> None:
        with contextlib.suppress(RayError, ValueError):
            ray.kill(self._actor)

    def join(self) -> None:
        """Wait until the actor has ended, and no longer than for some seconds."""
        self._hearer.join(_END_S)
        self._kill()

    def _say(self) -> None:
        under_way: deque[Any] = deque()
        number = 0
        with contextlib.suppress(RayError):  # the other thread hears of it
            while (received := self._channel.receive()) is not None:
                if not received:
                    continue
                number += 1
                parcel = packed([(self._there(message), descriptors) for message, descriptors in received])
                under_way.append(self._actor.take.remote(number, parcel))
                while len(under_way) > _UNDER_WAY_MAX:
                    ray.get(under_way.popleft())
            self._actor.end.remote()

    def _there(self, message: ToWorker) -> ToWorker:
        """Return a message in the time of the other host, where there is one in it: never later than it is meant.

        The clock there is read before it is read here, so what is left of the time is at most what was left then.
        """
        if not isinstance(message, HoldUntil) or message.at == math.inf:
            return message
        there = ray.get(self._actor.clock.remote())
        return HoldUntil(there + (message.at - host_clock_s()))

    def _hear(self) -> None:
        decoder: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)
        why = "its process ended"
        try:
            while (parcel := ray.get(self._actor.heard.remote())) is not None:
                deliver(parcel, self._channel, decoder)
        except RayError as error:
            why = f"Ray says {type(error).__name__}: {str(error).strip().splitlines()[0]}"
        except OSError:
            pass  # the engine has closed its end
        with contextlib.suppress(OSError):
            self._channel.socket.shutdown(socket.SHUT_RDWR)
        self._sayer.join()
        self._channel.close()
        self._ended(why)
