"""The key that a call is near: read, and written once and only if it is as the call has read it."""

from __future__ import annotations

import hashlib
import time

from weftrun.ports.buckets import Buckets, KeyChanged, Stat


class ChangedMeanwhile(ConnectionError):
    """A key was written by somebody else between this call's read and its write; another Attempt may succeed."""


def once_of(token: str, data: bytes) -> str:
    """Return the token of a write: of the Step, of its place among the Step's writes, and of what is written.

    So a write that comes again is not done again, and one with other bytes (of code that was mended, say) is.
    """
    return f"{token}#{hashlib.sha256(data).hexdigest()}" if token else ""


class KeyOfCall:
    """One key of a bucket, as one call uses it.

    Attributes:
        bucket: that has it.
        name: of the key.
        read_bytes: how many the call has read.
        waited_s: how long it has waited for them, in seconds.
    """

    def __init__(self, buckets: Buckets, bucket: str, name: str, effects: str) -> None:
        """Use a key for the Step with the key `effects`, by which its writes are known again."""
        self.bucket, self.name = bucket, name
        self.read_bytes, self.waited_s = 0, 0.0
        self._buckets = buckets
        self._effects = effects
        self._version = ""
        self._writes = 0

    def nbytes(self) -> int:
        """Return how long the value is; -1 where the key isn't there."""
        stat = self._buckets.stat(self.bucket, self.name)
        return -1 if stat is None else self._seen(stat).nbytes

    def read(self, offset: int, nbytes: int) -> memoryview | None:
        """Return bytes of the value; None where the key isn't there."""
        began = time.perf_counter()
        found = self._buckets.read(self.bucket, self.name, offset, nbytes)
        self.waited_s += time.perf_counter() - began
        if found is None:
            return None
        self._seen(found[0])
        self.read_bytes += len(found[1])
        return memoryview(found[1])

    def write(self, data: bytes) -> None:
        """Set the value.

        Raises:
            ChangedMeanwhile: it is another one than this call has read.
        """
        self._writes += 1
        token = f"{self._effects}#{self._writes}" if self._effects else ""
        try:
            stat = self._buckets.write(
                self.bucket, self.name, data, once=once_of(token, data), if_version=self._version
            )
        except KeyChanged as error:
            raise ChangedMeanwhile(f"{error} Another Attempt reads it again") from None
        self._version = stat.version

    def _seen(self, stat: Stat) -> Stat:
        """Note the first version that is seen: what is read later of another one must not be mixed with it."""
        if self._version and stat.version != self._version:
            raise ChangedMeanwhile(f"The key {self.name!r} was written by somebody else while it was read.")
        self._version = stat.version
        return stat
