"""The other Workers of the same engine on other hosts (port Peers): small values are told, Objects are fetched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Final

from weftrun.adapters.hosts.fetching import Fetcher, HostDoor
from weftrun.adapters.hosts.greeting import Membership, Purpose, Stranger, call
from weftrun.adapters.passing.readiness import LoopChannel, ThreadLoop
from weftrun.model.errors import EngineClosed
from weftrun.model.hosts import Begin, HandedOver
from weftrun.model.ids import WorkerId
from weftrun.model.values import Data, Object
from weftrun.ports.entropy import Entropy
from weftrun.ports.objects import Objects
from weftrun.ports.peers import Handed
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken

_LARGE_BYTES: Final = 8 << 20
"""Objects from this size on do not keep smaller ones waiting: they come over a connection of their own."""


class DistantPeers:
    """Speaks with Workers on other hosts.

    A connection that breaks is closed: what it carried comes from the engine.
    """

    def __init__(self, loop: ThreadLoop, objects: Objects, begin: Begin, entropy: Entropy) -> None:
        """Let the others reach this Worker at `begin.serves_at`. OSError where that is no address of this host."""
        self._loop = loop
        self._objects = objects
        self._member = Membership(begin.worker, begin.secret, entropy)
        self._frame_bytes_max = begin.limits.frame_bytes_max
        self._silence_s = begin.limits.lease_ttl_s
        self._handed: Handed
        self._before: Callable[[], None] = lambda: None
        self._at: dict[WorkerId, tuple[str, int]] = {}
        self._telling: dict[WorkerId, LoopChannel[HandedOver]] = {}
        self._hearing: dict[WorkerId, LoopChannel[HandedOver]] = {}
        self._fetchers: dict[tuple[WorkerId, bool], Fetcher] = {}
        self._closed = False
        self._door = HostDoor(begin.serves_at, self._member, objects, self._called, self._silence_s)

    @property
    def port(self) -> int:
        """At which the others reach this Worker."""
        return self._door.port

    def listen(self, handed: Handed) -> None:
        """Say whom to tell."""
        self._handed = handed

    def hear_first(self, before: Callable[[], None]) -> None:
        """Call this before anything of another Worker is taken: it takes what the engine has said before that."""
        self._before = before

    # ------------------------------------------------------------------ who there is

    def dial(self, worker: WorkerId, host: str, port: int, met: Callable[[], None]) -> None:
        """Reach for a Worker, and call `met` when it can be handed values."""
        self._at[worker] = host, port

        def work() -> None:
            try:
                sock = call(host, port, self._member, Purpose.VALUES)
            except (OSError, Stranger):
                return  # what it would be handed goes through the engine
            self._on_loop(sock, lambda: self._tell_to(worker, sock, met))

        threading.Thread(target=work, name="weftrun-dial", daemon=True).start()

    def part(self, worker: WorkerId) -> None:
        """A Worker is gone."""
        self._at.pop(worker, None)
        for links in (self._telling, self._hearing):
            if (link := links.pop(worker, None)) is not None:
                link.close()
        for key in [key for key in self._fetchers if key[0] == worker]:
            self._fetchers.pop(key).close()

    def _called(self, sock: socket.socket, worker: WorkerId) -> None:
        """Another Worker wants to tell of values; in a thread."""
        self._on_loop(sock, lambda: self._hear_from(worker, sock))

    def _on_loop(self, sock: socket.socket, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_from_thread(callback)
        except EngineClosed:
            sock.close()

    def _tell_to(self, worker: WorkerId, sock: socket.socket, met: Callable[[], None]) -> None:
        if self._closed or worker not in self._at or worker in self._telling:
            sock.close()
            return

        def readable() -> None:
            if self._receive(self._telling, worker):
                self._drop(self._telling, worker)  # it has nothing to say here

        self._telling[worker] = LoopChannel(self._loop, self._channel(sock), readable)
        met()

    def _hear_from(self, worker: WorkerId, sock: socket.socket) -> None:
        if self._closed or worker in self._hearing:
            sock.close()
            return
        self._hearing[worker] = LoopChannel(self._loop, self._channel(sock), lambda: self._readable(worker))

    def _channel(self, sock: socket.socket) -> Channel[HandedOver]:
        return Channel(sock, HandedOver, frame_bytes_max=self._frame_bytes_max)

    # ------------------------------------------------------------------ values

    def give(self, worker: WorkerId, run: int, step: int, value: Data) -> None:
        """Tell a Worker of a value; it fetches an Object, which this Worker keeps until the engine forgets it."""
        if (link := self._telling.get(worker)) is not None:
            link.gather(HandedOver(run, step, value))

    def fetch(self, worker: WorkerId, kept: Object, done: Callable[[Object | None], None]) -> None:
        """Fetch an Object from the Worker that keeps it under its number.

        Args:
            done: called on the loop with it, as it is named here and with one holder; None where it can't be had.
        """
        at = self._at.get(worker)
        if at is None or self._closed:
            self._loop.call_soon(lambda: done(None))
            return
        large = kept.nbytes >= _LARGE_BYTES
        fetcher = self._fetchers.get((worker, large))
        if fetcher is None:
            fetcher = self._fetchers[worker, large] = Fetcher(*at, self._member, self._silence_s)
        found: list[Object] = []

        def work() -> None:
            descriptor = fetcher.fetch(kept)
            if descriptor is not None:
                found.append(self._objects.adopt(descriptor, kept.nbytes))

        self._loop.offload(
            work, lambda: done(found[0] if found else None), lane=f"{'large' if large else 'small'} from {worker}"
        )

    def _readable(self, worker: WorkerId) -> None:
        received = self._receive(self._hearing, worker)
        if received:
            self._before()
            for message, _ in received:
                self._take(worker, message)

    def _receive(
        self, links: dict[WorkerId, LoopChannel[HandedOver]], worker: WorkerId
    ) -> list[tuple[HandedOver, tuple[int, ...]]] | None:
        try:
            received = links[worker].receive()
        except BlockingIOError:
            return []
        except (ChannelBroken, OSError):
            received = None
        if received is None:
            self._drop(links, worker)
        return received

    def _drop(self, links: dict[WorkerId, LoopChannel[HandedOver]], worker: WorkerId) -> None:
        if (link := links.pop(worker, None)) is not None:
            link.close()

    def _take(self, worker: WorkerId, message: HandedOver) -> None:
        value = message.value
        if not isinstance(value, Object):
            self._handed(worker, message.run, message.step, value)
            return

        def done(found: Object | None) -> None:
            if found is not None:
                self._handed(worker, message.run, message.step, found)

        self.fetch(worker, value, done)

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._closed = True
        self._door.close()
        for worker in {*self._at, *self._telling, *self._hearing}:
            self.part(worker)
