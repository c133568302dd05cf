"""Blobs: the durable form of Objects."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from weftrun.model.values import Blob


class Blobs(Protocol):
    """Immutable bytes named by their SHA-256. All methods block; `put` and `open` may be called from any thread."""

    def put(self, descriptor: int, nbytes: int) -> Blob:
        """Store `nbytes` bytes of an open file, from its start, and return once they are durable (C2).

        Idempotent. `JournalFull` where there is no room; nothing half-written stays under a blob's name.
        """

    def open(self, blob: Blob) -> int:
        """Return a new read-only descriptor. `JournalCorrupt` if it is missing or has another size."""

    def verify(self, blob: Blob) -> bool:
        """Read the whole blob and say whether its content has its name."""

    def names(self) -> Iterable[str]:
        """Yield the SHA-256 of every stored blob."""

    def remove(self, sha256: str) -> int:
        """Remove a blob, if it is there; return how many bytes it had."""
