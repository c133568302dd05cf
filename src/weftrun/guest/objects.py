"""Objects on the guest's side: mapped while somebody reads them, and made from results that are too large to ride.

Nothing here decodes a value.
"""

from __future__ import annotations

import mmap
import os
import resource
import threading
import time
import weakref
from collections import deque
from collections.abc import Sequence

from weftrun.guest.split_message import split_message, unsendable
from weftrun.guest.text import TextPipe
from weftrun.model.ids import ObjectId
from weftrun.model.messages import Dropped, FromSandbox, ToSandbox
from weftrun.model.outcomes import Moved
from weftrun.model.values import Data, Inline, Object
from weftrun.sdk import place
from weftrun.sdk.codec import Encoded
from weftrun.wire.channel import Channel
from weftrun.wire.memfd import map_private, read_private, sealed, stored
from weftrun.wire.page import Page


class DescriptorRoom:
    """The soft limit of open descriptors, raised while a message with many Objects is served.

    Each Object that is mapped takes a descriptor, so that the author's code has as many left as ever.
    """

    def __init__(self) -> None:
        """Leave the limit as it is."""
        self._before = 0
        self._raised = 0

    def make(self, descriptors: int) -> None:
        """Allow so many descriptors more, as far as the hard limit goes."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = soft + descriptors
        self._before, self._raised = soft, wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._raised, hard))

    def give_back(self) -> None:
        """Set the limit to what it was, unless the author's code has set it meanwhile."""
        if not self._raised:
            return
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == self._raised:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._before, hard))
        self._raised = 0


class Meter:
    """Counts what is moved in Objects, and which clients are shared, until it is taken."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._read_bytes = 0
        self._read_s = 0.0
        self._written_bytes = 0
        self._written_s = 0.0

    def read(self, nbytes: int, seconds: float) -> None:
        """Count an Object that was got at."""
        self._read_bytes += nbytes
        self._read_s += seconds

    def written(self, nbytes: int, seconds: float) -> None:
        """Count an Object that was made."""
        self._written_bytes += nbytes
        self._written_s += seconds

    def take(self) -> Moved | None:
        """Return what was counted since the last time; None where that is nothing."""
        counted = place.sandboxed.counted
        clients = counted() if counted is not None else ()
        if not self._read_bytes and not self._written_bytes and not clients:
            return None
        moved = Moved(self._read_bytes, self._read_s, self._written_bytes, self._written_s, clients)
        self._read_bytes = self._written_bytes = 0
        self._read_s = self._written_s = 0.0
        return moved


class ReceivedObjects:
    """Objects that the engine has handed over: opened, then mapped at the first read, then dropped with the value.

    An Object that is sent again while it is mapped shares its mapping. Every sending is reported as dropped once.
    """

    def __init__(self, meter: Meter, *, reads: bool) -> None:
        """Map what is handed over; where it `reads`, take it out of the store instead, into memory of its own."""
        self.meter = meter
        self._get = read_private if reads else map_private
        self._opened: dict[ObjectId, int] = {}
        self._mapped: dict[ObjectId, weakref.ref[mmap.mmap]] = {}
        self._in_use: dict[ObjectId, mmap.mmap] = {}
        self._sendings: dict[ObjectId, int] = {}
        self._dropped: deque[ObjectId] = deque()  # whose ends threads reach without a lock

    def add(self, objects: Sequence[ObjectId], descriptors: Sequence[int]) -> None:
        """Take the descriptors of a message."""
        for oid, descriptor in zip(objects, descriptors, strict=True):
            self._sendings[oid] = self._sendings.get(oid, 0) + 1
            known = self._mapped.get(oid)
            mapping = known() if known is not None else None
            if mapping is not None:
                self._in_use[oid] = mapping
            if oid in self._opened or mapping is not None:
                os.close(descriptor)
            else:
                self._opened[oid] = descriptor

    def read(self, data: Data) -> bytes | memoryview:
        """Return the bytes of a value; those of an Object are a read-only view of its mapping."""
        if isinstance(data, Inline):
            return data.data
        if not isinstance(data, Object):
            raise TypeError(f"The engine named a {type(data).__name__} to a Sandbox, which can read Objects only.")
        if not data.nbytes:
            return b""
        mapping = self._in_use.get(data.oid)
        if mapping is None:
            mapping = self._map(data)
        return memoryview(mapping)

    def settle(self) -> None:
        """End the reading of a message: from here on a mapping lives only as long as a value needs it."""
        self._in_use.clear()
        for oid, descriptor in self._opened.items():
            os.close(descriptor)
            self._report(oid)
        self._opened.clear()

    def take_dropped(self) -> tuple[ObjectId, ...]:
        """Return what has been dropped since the last call, once for each sending."""
        dropped = []
        while self._dropped:
            dropped.append(self._dropped.popleft())
        return tuple(dropped)

    def _map(self, data: Object) -> mmap.mmap:
        oid = data.oid
        descriptor = self._opened.pop(oid)
        began = time.perf_counter()
        try:
            mapping = self._get(descriptor, data.nbytes)
        except BaseException:
            self._report(oid)
            raise
        finally:
            os.close(descriptor)
        self.meter.read(data.nbytes, time.perf_counter() - began)
        self._in_use[oid] = mapping
        self._mapped[oid] = weakref.ref(mapping, lambda _: self._unmapped(oid))
        return mapping

    def _unmapped(self, oid: ObjectId) -> None:
        del self._mapped[oid]
        self._report(oid)

    def _report(self, oid: ObjectId) -> None:
        self._dropped.extend([oid] * self._sendings.pop(oid, 0))


class Speaker:
    """Says things to the engine, with the Objects that were made for them and the news of dropped ones."""

    def __init__(
        self, channel: Channel[ToSandbox], received: ReceivedObjects, page: Page, pipe: TextPipe, *,
        inline_bytes_max: int, store_folder: str = "",
    ) -> None:  # fmt: skip
        """Speak over `channel`; values of more than `inline_bytes_max` encoded bytes become Objects.

        These are written to `store_folder`, where there is one.

        With each message `page` says whether `pipe` holds text that belongs before it. Threads that speak hold `lock`
        from the making of a message's first Object until it is said.
        """
        self.lock = threading.RLock()
        self._channel = channel
        self._received = received
        self._words = page.words
        self._pipe = pipe
        self._inline_bytes_max = inline_bytes_max
        self._store_folder = store_folder
        self._made: list[int] = []

    def data(self, encoded: Encoded) -> Data:
        """Turn an encoded value into what the next message can carry. Raises OSError where no Object can be made."""
        if encoded.nbytes <= self._inline_bytes_max:
            return Inline(encoded.tobytes())
        began = time.perf_counter()
        folder = self._store_folder
        descriptor, nbytes = stored(encoded.pieces, folder) if folder else sealed(encoded.pieces)
        self._received.meter.written(nbytes, time.perf_counter() - began)
        self._made.append(descriptor)
        return Object(ObjectId(-len(self._made)), nbytes)

    def say(self, message: FromSandbox) -> None:
        """Send a message, and with it every Object made since the last one."""
        with self.lock:
            self.tell_dropped()
            self._words[Page.PIPED] = self._pipe.has_unread()
            self._send(message)
            for descriptor in self._made:
                os.close(descriptor)
            self._made.clear()

    def _send(self, message: FromSandbox) -> None:
        """Send a message, in halves where it can't be told as it is; each comes with all Objects, so that numbers hold.

        An outcome that can't be told by itself is told as a failure, which is that Attempt's alone.
        """
        try:
            self._channel.queue(message, self._made)
        except Exception as error:  # noqa: BLE001 - whatever the encoder will not say
            parts = split_message(message)
            if not parts:
                self._channel.queue(unsendable(message, error), self._made)
            for part in parts:
                self._send(part)
        self._channel.flush()

    def tell_dropped(self) -> None:
        """Say which Objects are read no more, if there is news."""
        with self.lock:
            dropped = self._received.take_dropped()
            if dropped:
                self._channel.send(Dropped(dropped))
