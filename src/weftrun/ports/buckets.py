"""Buckets: named bytes that outlive Runs and that Functions read and write by key."""

from __future__ import annotations

from typing import Final, Literal, Protocol

from msgspec import Struct

from weftrun.model.errors import UsageError
from weftrun.model.selecting import Selection

ABSENT: Final = "absent"
"""Guard of a write that is to make the key."""


class Stat(Struct, frozen=True, array_like=True):
    """What is known of a key without reading it.

    Attributes:
        nbytes: how many bytes it has.
        version: another text after each write; two equal versions are the same bytes.
    """

    nbytes: int
    version: str


class Selected(Struct, frozen=True, array_like=True):
    """What a selection gave of a value.

    Attributes:
        stat: of the value.
        data: what it gave.
        where: whether the lines were chosen where the value lies, or here, of all of it.
        reason: a few words.
    """

    stat: Stat
    data: bytes
    where: Literal["near", "here"]
    reason: str


class KeyChanged(Exception):
    """A write was guarded by a version that the key no longer has; nothing was written."""


class BucketsUnreachable(ConnectionError):
    """Whoever holds the bucket can't be reached now; it may be tried again."""


class BucketsRefused(UsageError):
    """Whoever holds the bucket does not let this caller do it."""


class Buckets(Protocol):
    """A store of bytes by bucket and key.

    A write replaces the whole value at once: a reader sees the old bytes or the new ones. All verbs raise ValueError
    for a name that can't be one, and BucketsUnreachable where the store can't be asked.
    """

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Return what is known of a key; None where it isn't there."""

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes | memoryview] | None:
        """Return up to `nbytes` bytes from `offset` (all that follow where it is negative), and what they are of.

        None where the key isn't there. Bytes past the end are not there: a read beyond it gives none.
        """

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        """Set the value of a key.

        Args:
            bucket: made by its first write.
            key: any text that is not empty.
            data: the whole value.
            once: a token of this write; a write with a token that was carried out before does nothing.
            if_version: write only if the key has this version now, or, where it is `ABSENT`, is not there; empty writes
                in any case.

        Raises:
            KeyChanged: the key has another version, is gone, or is there.
        """

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Return what a selection gives of a key, by the store itself if that can; None where the key isn't there."""

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key; False where it wasn't there."""

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`, sorted."""
