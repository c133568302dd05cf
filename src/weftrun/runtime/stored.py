"""Bytes that the Journal names and that lie beside it: held against their names, and brought back as Objects."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from weftrun.model.errors import JournalCorrupt, WeftrunError
from weftrun.model.values import Blob, Data, Object
from weftrun.ports.blobs import Blobs
from weftrun.ports.loop import Loop
from weftrun.ports.objects import Objects
from weftrun.runtime.offload import do_and_report


class StoredBytes:
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
