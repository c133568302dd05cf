"""The other Workers of the same engine on this host, over a socket with each; Objects are handed over by descriptor."""

from __future__ import annotations

import os
from collections.abc import Callable

from weftrun.adapters.passing.adoption import adopted
from weftrun.adapters.passing.readiness import FdLoop, LoopChannel
from weftrun.model.errors import UsageError
from weftrun.model.hosts import HandedOver
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Data, Object
from weftrun.ports.objects import Objects
from weftrun.ports.peers import Handed
from weftrun.wire.channel import Channel, unix_socket
from weftrun.wire.frames import ChannelBroken


class PeerLinks:
    """Speaks with other Workers (port Peers).

    A link that breaks is closed: what it carried comes from the engine.
    """

    def __init__(self, loop: FdLoop, objects: Objects, frame_bytes_max: int) -> None:
        self._loop = loop
        self._objects = objects
        self._frame_bytes_max = frame_bytes_max
        self._links: dict[WorkerId, LoopChannel[HandedOver]] = {}
        self._handed: Handed
        self.before: Callable[[], None] = lambda: None

    def listen(self, handed: Handed) -> None:
        """Say whom to tell."""
        self._handed = handed

    def hear_first(self, before: Callable[[], None]) -> None:
        """Call this before anything of another Worker is taken: it takes what the engine has said before that."""
        self.before = before

    def meet(self, worker: WorkerId, descriptor: int) -> None:
        """Speak with a Worker over this socket, which belongs here from now on."""
        channel: Channel[HandedOver] = Channel(
            unix_socket(descriptor), HandedOver, frame_bytes_max=self._frame_bytes_max
        )
        self._links[worker] = LoopChannel(self._loop, channel, lambda: self._readable(worker))

    def give(self, worker: WorkerId, run: int, step: int, value: Data) -> None:
        """Hand a value to a Worker, without a copy."""
        link = self._links.get(worker)
        if link is None:
            return
        if isinstance(value, Object):
            descriptor = os.dup(self._objects.descriptor(value.oid))
            link.gather(HandedOver(run, step, Object(ObjectId(-1), value.nbytes)), [descriptor], close=[descriptor])
        else:
            link.gather(HandedOver(run, step, value))

    def leaves_in_s(self) -> float:
        """Nothing leaves this host."""
        return 0.0

    def close(self) -> None:
        """Close all links."""
        links, self._links = self._links, {}
        for link in links.values():
            link.close()

    def _readable(self, worker: WorkerId) -> None:
        try:
            received = self._links[worker].receive()
        except BlockingIOError:
            return
        except ChannelBroken:
            received = None
        if received is None:
            self._links.pop(worker).close()
            return
        self.before()
        for message, descriptors in received:
            self._take(worker, message, descriptors)

    def _take(self, worker: WorkerId, message: HandedOver, descriptors: tuple[int, ...]) -> None:
        try:
            value = adopted(message.value, descriptors, self._objects)
        except (ChannelBroken, UsageError):
            return  # the engine sends what is missing
        self._handed(worker, message.run, message.step, value)
