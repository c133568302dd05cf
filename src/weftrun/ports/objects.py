"""Objects: immutable bytes of this engine, shared with Sandboxes without a copy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob, Object


class Objects(Protocol):
    """Counted by remaining holders; gone when the last one lets go. May be called from any thread.

    An Object lives in a sealed memfd; over the quota or the bound of descriptors, in a file named by its checksum.
    """

    @property
    def is_empty(self) -> bool:
        """Whether there is no Object, so that nothing can name one."""

    def publish(self, pieces: Sequence[bytes | memoryview]) -> Object:
        """Make an Object of these pieces, one after the other, with one holder."""

    def adopt(self, descriptor: int, nbytes: int) -> Object:
        """Take over a descriptor from a guest, with one holder.

        Its seals (WRITE, SHRINK, GROW, SEAL) and its size are checked; where seals are missing the bytes are copied
        into an Object of our own. `UsageError` where the size is wrong. The descriptor belongs to the store
        afterwards, in every case.
        """

    def attach(self, blob: Blob) -> Object:
        """Make an Object of a blob, without a copy, with one holder."""

    def descriptor(self, oid: ObjectId) -> int:
        """Return a descriptor that stays valid while the Object has a holder. Not to be closed by the caller."""

    def view(self, oid: ObjectId) -> memoryview:
        """Map the Object read-only into this process; the mapping lives as long as the view."""

    def hold(self, oid: ObjectId) -> None:
        """Add a holder."""

    def release(self, oid: ObjectId) -> None:
        """Remove a holder. Does nothing after `close`: the handle of a Run may outlive its engine."""

    def when_freed(self, tell: Callable[[ObjectId], None]) -> None:
        """Call `tell` with each Object that has no holder any more, in the thread that let go of it last."""

    def stats(self) -> dict[str, int]:
        """Return `objects`, `object_bytes`, `descriptors`, `spilled`, `spilled_bytes`, `published_bytes` (ever)."""

    def close(self) -> None:
        """Release everything and remove spilled files. Idempotent."""
