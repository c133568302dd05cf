"""The actor on each host: a Worker in its process, and what the engine says to it and hears from it."""

from __future__ import annotations

import importlib
import logging
import os
import shutil
import socket
import tempfile
import threading
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from weftrun.adapters.ray.parcels import MessageParcel, deliver, packed
from weftrun.model.hosts import Begin, FromWorker, ToWorker
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.wire.channel import Channel
from weftrun.wire.lease_page import host_clock_s

_LOG = logging.getLogger("weftrun")
CALLS_AT_ONCE: Final = 3
"""`take`, `heard` and `clock` may be under way together."""


class WorkerActor:
    """Speaks for the Worker of one host. Its process ends with its Worker.

    Args:
        module: what serves a Worker, by its function `serve(socket)`.
    """

    def __init__(self, module: str) -> None:
        ours, theirs = socket.socketpair()
        self._channel: Channel[FromWorker] = Channel(ours, FromWorker, frame_bytes_max=DEFAULT_LIMITS.frame_bytes_max)
        self._decoder: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
        self._folder = tempfile.mkdtemp(prefix="weftrun-worker-")
        self._taken = 0
        self._early: dict[int, MessageParcel] = {}
        self._turn = threading.Lock()
        self._serve = importlib.import_module(module).serve
        threading.Thread(target=self._work, args=[theirs], name="weftrun-serve", daemon=True).start()

    def _work(self, theirs: socket.socket) -> None:
        try:
            self._serve(theirs)
        except Exception:  # noqa: BLE001  # whatever it is, this process ends with it
            _LOG.exception("The Worker of this host has ended.")  # into Ray's log of this process
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)
            os._exit(0)  # Ray would keep the process for nothing

    def clock(self) -> float:
        """Return this host's clock, in seconds."""
        return host_clock_s()

    def take(self, number: int, parcel: MessageParcel) -> None:
        """Hand on what the engine says; parcels are counted from 1, and a call may overtake another one."""
        with self._turn:
            self._early[number] = parcel
            while (following := self._early.pop(self._taken + 1, None)) is not None:
                deliver(self._placed(following), self._channel, self._decoder)
                self._taken += 1

    def _placed(self, parcel: MessageParcel) -> MessageParcel:
        """Let the Worker spill to a folder of its own host."""
        if self._taken:
            return parcel
        begin = self._decoder.decode(parcel.messages[0][0])
        if not isinstance(begin, Begin):
            return parcel  # the Worker says that this can't be
        first = msgspec.msgpack.encode(replace(begin, folder=self._folder))
        return MessageParcel([(first, []), *parcel.messages[1:]])

    def heard(self) -> MessageParcel | None:
        """Wait for what the Worker says next, and return all that is there; None at its end."""
        received = self._channel.receive()
        while received == []:
            received = self._channel.receive()
        return None if received is None else packed(received)

    def end(self) -> None:
        """Close the conversation; the Worker ends with it."""
        self._channel.socket.shutdown(socket.SHUT_RDWR)


def remote(ray: Any, node: str, module: str) -> Any:
    """Start the actor on a node of Ray's, which is not placed anywhere else."""
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
    actor = ray.remote(WorkerActor).options(
        num_cpus=0, max_concurrency=CALLS_AT_ONCE, max_restarts=0, scheduling_strategy=strategy
    )
    return actor.remote(module)
