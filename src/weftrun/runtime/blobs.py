"""Bytes that the Journal names and that lie beside it: written before the record that names them is (C2), and read.

Read ones are held against their names before anybody is given what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from weftrun.model.errors import CommitUnknown, JournalCorrupt, JournalFull, WeftrunError
from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob, Data, Object, Payload
from weftrun.ports.blobs import Blobs
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.runtime.offload import do_and_report

_AGAIN_S: Final = 1.0
"""Bytes that found no room are written again after this."""


class BlobWriter:
    """Writes Objects, outside the loop, and remembers as which blobs.

    Args:
        stored: called with an Object and its blob when its bytes are durable.
        no_room: called with the reason when they could not be written for now; they are tried again.
        failed: called with an error after which they never will be.
    """

    def __init__(
        self,
        loop: Loop,
        blobs: Blobs,
        objects: Objects,
        stored: Callable[[ObjectId, Blob], None],
        no_room: Callable[[str], None],
        failed: Callable[[WeftrunError], None],
    ) -> None:
        self._loop = loop
        self._blobs = blobs
        self._objects = objects
        self._tell_stored = stored
        self._no_room = no_room
        self._failed = failed
        self._stored: dict[ObjectId, Blob] = {}
        self._storing: set[ObjectId] = set()
        self._released: set[ObjectId] = set()

    def known(self, oid: ObjectId, blob: Blob) -> None:
        """Say that an Object's bytes are durable already, as this blob."""
        self._stored[oid] = blob

    def forget(self, oid: ObjectId) -> None:
        """The Run holds an Object no more; its number comes never again."""
        if self._stored.pop(oid, None) is None and oid in self._storing:
            self._released.add(oid)

    def blob_of(self, obj: Object) -> Blob | None:
        """Return the blob of an Object; where there is none yet it is made, and the Object held until then."""
        blob = self._stored.get(obj.oid)
        if blob is None and obj.oid not in self._storing:
            self._storing.add(obj.oid)
            self._objects.hold(obj.oid)
            self._put(obj)
        return blob

    def _put(self, obj: Object) -> None:
        def work() -> Blob:
            return self._blobs.put(self._objects.descriptor(obj.oid), obj.nbytes)

        def done(blob: Blob) -> None:
            self._over(obj)
            if obj.oid in self._released:
                self._released.discard(obj.oid)
            else:
                self._stored[obj.oid] = blob
            self._tell_stored(obj.oid, blob)

        def failed(error: WeftrunError) -> None:
            if isinstance(error, JournalFull | CommitUnknown):
                self._no_room(str(error))
                self._loop.call_at(self._loop.now() + _AGAIN_S, lambda: self._put(obj))
            else:
                self._over(obj)
                self._failed(error)

        self._loop.offload(*do_and_report(work, done, failed), lane="blobs")

    def _over(self, obj: Object) -> None:
        self._storing.discard(obj.oid)
        self._objects.release(obj.oid)


def keep_arguments(
    loop: Loop,
    blobs: Blobs,
    objects: Objects,
    args: Payload,
    then: Callable[[Payload], None],
    failed: Callable[[WeftrunError], None],
) -> None:
    """See that the bytes of arguments are durable before a record names them (C2); an Object among them is released.

    Args:
        then: called with the arguments as a record has them.
        failed: called with the error for which their bytes could not be written.
    """
    data = args.data
    if not isinstance(data, Object):
        then(args)
        return

    def done(blob: Blob) -> None:
        objects.release(data.oid)
        then(replace(args, data=blob))

    def not_done(error: WeftrunError) -> None:
        objects.release(data.oid)
        failed(error)

    def work() -> Blob:
        return blobs.put(objects.descriptor(data.oid), data.nbytes)

    loop.offload(*do_and_report(work, done, not_done), lane="blobs")


class BlobReader:
    """Blobs as an engine needs them when a Run comes back."""

    def __init__(self, loop: Loop, blobs: Blobs, objects: Objects) -> None:
        self._loop = loop
        self._blobs = blobs
        self._objects = objects

    def attached(self, data: Data, held: list[Object]) -> Data:
        """Return an Object for a blob, and other data as it is."""
        if not isinstance(data, Blob):
            return data
        obj = self._objects.attach(data)
        held.append(obj)
        return obj

    def verify(self, blobs: Sequence[Blob], then: Callable[[], None], failed: Callable[[WeftrunError], None]) -> None:
        """Read each blob once, outside the loop, before anybody is given what is in them."""

        def work() -> None:
            for blob in dict.fromkeys(blobs):
                if not self._blobs.verify(blob):
                    raise JournalCorrupt(f"The blob {blob.sha256} is damaged. Restore it from a backup.")

        if blobs:
            self._loop.offload(*do_and_report(work, lambda _: then(), failed), lane="blobs")
        else:
            then()
