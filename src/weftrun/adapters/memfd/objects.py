"""The store of Objects on one host: sealed memfds, counted by holders, bounded, with a spill folder beside them.

The engine never reads what is in an Object here; it hands descriptors on.
"""

from __future__ import annotations

import itertools
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from weftrun.adapters.memfd.spill import Spill
from weftrun.model.errors import InternalError, UsageError
from weftrun.model.ids import ObjectId
from weftrun.model.values import Blob, Object
from weftrun.wire.memfd import is_sealed, map_private, sealed, stored

_COPY_BYTES: Final = 1024 * 1024


class _KeptObject:
    """Where one Object lives. `descriptor` is -1 for a file that nobody has asked for yet."""

    __slots__ = ("blob", "descriptor", "holders", "in_store", "nbytes", "spilled")

    def __init__(
        self, nbytes: int, descriptor: int = -1, *, spilled: str = "", blob: Blob | None = None, in_store: bool = False
    ) -> None:
        self.nbytes = nbytes
        self.descriptor = descriptor
        self.spilled = spilled
        self.blob = blob
        self.in_store = in_store
        self.holders = 1

    @property
    def in_memory(self) -> bool:
        return not self.spilled and self.blob is None and not self.in_store


class MemfdObjects:
    """The port `Objects`.

    The quota counts the bytes of memfds; spilled files and blobs are not counted, since the page cache gives their
    memory back. A descriptor that was asked for stays open until the Object's last holder lets go.
    """

    def __init__(
        self,
        folder: Path,
        *,
        quota_bytes: int,
        descriptors_max: int,
        open_blob: Callable[[Blob], int],
        store_folder: str = "",
    ) -> None:
        """Keep at most `quota_bytes` in memory and about `descriptors_max` descriptors; spill into `folder`/spill.

        `open_blob` returns a new read-only descriptor of a blob (`Blobs.open`). With a `store_folder` Objects are files
        in it without names, and nothing is kept in memory.
        """
        self._lock = threading.Lock()
        self._spill = Spill(folder / "spill")
        self._quota_bytes = quota_bytes
        self._descriptors_max = descriptors_max
        self._open_blob = open_blob
        self._store_folder = store_folder
        self._kept: dict[ObjectId, _KeptObject] = {}
        self._numbers = itertools.count(1)
        self._memory_bytes = 0
        self._descriptors = 0
        self._published_bytes = 0
        self._closed = False
        self._tell_freed: Callable[[ObjectId], None] = lambda _: None

    @property
    def is_empty(self) -> bool:
        """Whether there is no Object, so that nothing can name one."""
        return not self._kept

    def publish(self, pieces: Sequence[bytes | memoryview]) -> Object:
        """Make an Object of these pieces, one after the other, with one holder."""
        nbytes = sum(memoryview(piece).nbytes for piece in pieces)
        if self._store_folder:
            descriptor, nbytes = stored(pieces, self._store_folder)
            kept = _KeptObject(nbytes, descriptor, in_store=True)
        elif self._fits(nbytes):
            descriptor, nbytes = sealed(pieces)
            kept = _KeptObject(nbytes, descriptor)
        else:
            kept = _KeptObject(nbytes, spilled=self._spill.add(pieces))
        return self._keep(kept)

    def adopt(self, descriptor: int, nbytes: int) -> Object:
        """Take over a guest's descriptor: as it is where it is sealed, a copy of it where it is not."""
        try:
            _check_size(descriptor, nbytes)
            fits = self._fits(nbytes)
            if self._store_folder and is_sealed(descriptor):  # it came from another host
                copy, _ = stored(list(_read(descriptor, nbytes)), self._store_folder)
                kept = _KeptObject(nbytes, copy, in_store=True)
            elif self._store_folder:
                kept, descriptor = _KeptObject(nbytes, descriptor, in_store=True), -1
            elif fits and is_sealed(descriptor):
                kept, descriptor = _KeptObject(nbytes, descriptor), -1
            elif fits:
                copy, _ = sealed(list(_read(descriptor, nbytes)))
                kept = _KeptObject(nbytes, copy)
            else:
                kept = _KeptObject(nbytes, spilled=self._spill.add(_read(descriptor, nbytes)))
        finally:
            if descriptor >= 0:
                os.close(descriptor)
        return self._keep(kept)

    def attach(self, blob: Blob) -> Object:
        """Make an Object of a blob, without a copy, with one holder."""
        descriptor = self._open_blob(blob)
        if self._descriptors >= self._descriptors_max:
            os.close(descriptor)
            descriptor = -1
        return self._keep(_KeptObject(blob.nbytes, descriptor, blob=blob))

    def descriptor(self, oid: ObjectId) -> int:
        """Return a descriptor that stays valid while the Object has a holder. Not to be closed by the caller."""
        with self._lock:
            kept = self._of(oid)
            if kept.descriptor < 0:
                kept.descriptor = self._spill.open(kept.spilled) if kept.blob is None else self._open_blob(kept.blob)
                self._descriptors += 1
            return kept.descriptor

    def view(self, oid: ObjectId) -> memoryview:
        """Map the Object read-only into this process; the mapping lives as long as the view."""
        nbytes = self._of(oid).nbytes
        if not nbytes:
            return memoryview(b"")
        return memoryview(map_private(self.descriptor(oid), nbytes))

    def hold(self, oid: ObjectId) -> None:
        """Add a holder."""
        with self._lock:
            self._of(oid).holders += 1

    def release(self, oid: ObjectId) -> None:
        """Remove a holder; the last one frees the memory or the file. Nothing is left to do once all is closed."""
        with self._lock:
            if self._closed:
                return
            kept = self._of(oid)
            kept.holders -= 1
            if kept.holders:
                return
            del self._kept[oid]
            self._free(kept)
        self._tell_freed(oid)

    def when_freed(self, tell: Callable[[ObjectId], None]) -> None:
        """Call `tell` with each Object that has no holder any more, in the thread that let go of it last."""
        self._tell_freed = tell

    def stats(self) -> dict[str, int]:
        """Return `objects`, `object_bytes`, `descriptors`, `spilled`, `spilled_bytes`, `published_bytes` (ever)."""
        with self._lock:
            spilled = [kept.nbytes for kept in self._kept.values() if kept.spilled]
            return {
                "objects": len(self._kept),
                "object_bytes": sum(kept.nbytes for kept in self._kept.values()),
                "descriptors": self._descriptors,
                "spilled": len(spilled),
                "spilled_bytes": sum(spilled),
                "published_bytes": self._published_bytes,
            }

    def close(self) -> None:
        """Release everything and remove spilled files. Idempotent."""
        with self._lock:
            self._closed = True
            for kept in self._kept.values():
                self._free(kept)
            self._kept.clear()
            self._spill.close()

    def _fits(self, nbytes: int) -> bool:
        return self._memory_bytes + nbytes <= self._quota_bytes and self._descriptors < self._descriptors_max

    def _of(self, oid: ObjectId) -> _KeptObject:
        kept = self._kept.get(oid)
        if kept is None:
            raise InternalError(f"Object {oid} has no holder any more.")
        return kept

    def _keep(self, kept: _KeptObject) -> Object:
        with self._lock:
            oid = ObjectId(next(self._numbers))
            self._kept[oid] = kept
            self._published_bytes += 0 if kept.blob is not None else kept.nbytes
            self._descriptors += kept.descriptor >= 0
            self._memory_bytes += kept.nbytes if kept.in_memory else 0
        return Object(oid, kept.nbytes)

    def _free(self, kept: _KeptObject) -> None:
        if kept.descriptor >= 0:
            os.close(kept.descriptor)
            self._descriptors -= 1
        if kept.spilled:
            self._spill.drop(kept.spilled)
        self._memory_bytes -= kept.nbytes if kept.in_memory else 0


def _check_size(descriptor: int, nbytes: int) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UsageError("A Sandbox handed over a descriptor that is no file; an Object must be a memfd.")
    if found.st_size != nbytes:
        raise UsageError(f"A Sandbox handed over an Object of {nbytes} bytes whose file has {found.st_size}.")


def _read(descriptor: int, nbytes: int) -> Iterator[bytes]:
    """Yield the bytes of a file that may change meanwhile; UsageError where it ends early."""
    at = 0
    while at < nbytes:
        piece = os.pread(descriptor, min(_COPY_BYTES, nbytes - at), at)
        if not piece:
            raise UsageError(f"A Sandbox cut an Object of {nbytes} bytes to {at} while it was being copied.")
        yield piece
        at += len(piece)
