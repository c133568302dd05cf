"""The other Workers of the same engine on other hosts (port Peers): small values are told, Objects are fetched."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Sequence

from weftrun.adapters.hosts.fetching import Fetchers, HostDoor
from weftrun.adapters.hosts.greeting import Membership, Purpose, Stranger, call
from weftrun.adapters.passing.readiness import LoopChannel, ThreadLoop
from weftrun.model.errors import EngineClosed
from weftrun.model.hosts import Begin, HandedOver
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Data, Object
from weftrun.model.work import Came
from weftrun.ports.objects import Objects
from weftrun.ports.peers import Handed
from weftrun.wire.channel import Channel
from weftrun.wire.frames import ChannelBroken

Fetched = Callable[[Object | None, float, float], None]
"""Told of an Object, when it was asked for, and when it was there, in seconds since the epoch."""


class DistantPeers:
    """Speaks with Workers on other hosts.

    A connection that breaks is closed: what it carried comes from the engine.
    """

    def __init__(self, loop: ThreadLoop, objects: Objects, begin: Begin) -> None:
        """Let the others reach this Worker at `begin.serves_at`. OSError where that is no address of this host."""
        self._loop = loop
        self._objects = objects
        self._member = Membership(begin.worker, begin.secret)
        self._frame_bytes_max = begin.limits.frame_bytes_max
        silence_s = begin.limits.lease_ttl_s
        self._handed: Handed
        self._before: Callable[[], None] = lambda: None
        self._at: dict[WorkerId, tuple[str, int]] = {}
        self._telling: dict[WorkerId, LoopChannel[HandedOver]] = {}
        self._hearing: dict[WorkerId, LoopChannel[HandedOver]] = {}
        self._tell_came: Callable[[Came], None] = lambda _: None
        self._closed = False
        self._door = HostDoor(begin.serves_at, self._member, objects, self._called, silence_s)
        self._fetchers = Fetchers(loop, self._member, silence_s)

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

    def tell_what_comes(self, came: Callable[[Came], None]) -> None:
        """Call this with each Object of a value that another Worker has told of, when it is here."""
        self._tell_came = came

    # ------------------------------------------------------------------ who there is

    def dial(self, worker: WorkerId, host: str, port: int, met: Callable[[], None]) -> None:
        """Reach for a Worker, and call `met` when it can be handed values."""
        self._at[worker] = host, port
        self._fetchers.dial(worker, host, port)

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
        self._fetchers.part(worker)
        self._door.outflow.part(worker)

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
            if isinstance(value, Object):
                self._door.outflow.promised(worker, value.oid, value.nbytes)
            link.gather(HandedOver(run, step, value))

    def leaves_in_s(self) -> float:
        """Return how long what other Workers were told of still needs, by the speed that the kernel has measured."""
        return self._door.outflow.leaves_in_s()

    def forgotten(self, kept: Sequence[ObjectId]) -> None:
        """Nobody asks for these Objects any more."""
        self._door.outflow.forgotten(kept)

    def fetch(self, worker: WorkerId, kept: Object, done: Fetched) -> None:
        """Fetch an Object from the Worker that keeps it under its number.

        Args:
            done: called on the loop with it, as it is named here and with one holder; None where it can't be had.
        """
        began_at = self._loop.now()

        def fetched(descriptor: int | None) -> None:
            found = self._objects.adopt(descriptor, kept.nbytes) if descriptor is not None else None
            done(found, began_at, self._loop.now())

        self._fetchers.fetch(worker, kept, fetched)

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

        def done(found: Object | None, began_at: float, at: float) -> None:
            if found is not None:
                me, nbytes = self._member.worker, found.nbytes
                self._handed(worker, message.run, message.step, found)
                self._tell_came(Came(message.run, message.step, me, worker, nbytes, began_at, at))

        self.fetch(worker, value, done)

    def close(self) -> None:
        """Close all connections. Idempotent."""
        self._closed = True
        self._door.close()
        for worker in {*self._at, *self._telling, *self._hearing}:
            self.part(worker)
