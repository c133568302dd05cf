"""Locks of a key over all hosts: a value in the bucket, which its holder renews, and which whoever waits looks at.

A holder that has died renews no more. Who waits takes the lock over once it has seen the same version for as long as a
lease is, by its own clock; clocks of hosts are not compared. A holder that was only slow finds out when it renews; and
since it pushes over the version that it found when it took the lock, it can't write over what came after it.
"""

from __future__ import annotations

import threading
import time
from typing import Final

from weftrun.ports.buckets import ABSENT, Buckets, BucketsUnreachable, KeyChanged

LEASE_S: Final = 5.0
_RENEW_S: Final = 1.0
_AGAIN_S: Final = 0.02
_PREFIX: Final = "lock/"
_FREE: Final = b"free"
_HELD: Final = b"held"


class LockLost(ConnectionError):
    """Somebody else has taken a lock over; another Attempt may succeed."""


class GlobalLock:
    """A lock that this call holds, until it gives it back or is gone.

    Attributes:
        guard: version of the state of its key that may be written over.
    """

    def __init__(self, buckets: Buckets, bucket: str, key: str, version: str, guard: str) -> None:
        """Renew the lock whose value has this version from now on."""
        self.guard = guard
        self._buckets, self._bucket, self._key = buckets, bucket, key
        self._version = version
        self._is_lost = False
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="weftrun-wasm-lock", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """See that it is still held.

        Raises:
            LockLost: somebody else has taken it.
        """
        if self._is_lost:
            raise LockLost(
                f"The lock of {self._key!r} was taken over by another host: this one did not renew it in time."
            )

    def release(self) -> None:
        """Give it back; a lock that was lost is left to whoever has it."""
        self._ends.set()
        self._thread.join()
        if not self._is_lost:
            try:
                self._buckets.write(self._bucket, _PREFIX + self._key, _FREE, if_version=self._version)
            except (KeyChanged, BucketsUnreachable):
                pass  # it was taken over, or will be once the lease is over

    def _renew(self) -> None:
        while not self._ends.wait(_RENEW_S):
            try:
                written = self._buckets.write(self._bucket, _PREFIX + self._key, _HELD, if_version=self._version)
            except KeyChanged:
                self._is_lost = True
                return
            except BucketsUnreachable:
                continue  # it may be there again before the lease is over
            self._version = written.version


def acquire(
    buckets: Buckets, bucket: str, key: str, guarded: str, *, until: float, lease_s: float = LEASE_S
) -> GlobalLock | None:
    """Wait for a lock; None when the time `until`, of the monotonic clock, comes before it is free.

    Args:
        guarded: the key that is written under it.
        lease_s: how long nobody renews a lock that is taken over; the same on all hosts.

    Raises:
        BucketsUnreachable: the bucket can't be asked.
    """
    seen, since = "", 0.0
    while True:
        now = buckets.read(bucket, _PREFIX + key)
        version = ABSENT if now is None else now[0].version
        if version != seen:
            seen, since = version, time.monotonic()
        if now is None or bytes(now[1]) == _FREE or time.monotonic() - since > lease_s:
            try:
                held = buckets.write(bucket, _PREFIX + key, _HELD, if_version=version)
            except KeyChanged:
                continue
            stat = buckets.stat(bucket, guarded)
            return GlobalLock(buckets, bucket, key, held.version, ABSENT if stat is None else stat.version)
        if time.monotonic() > until:
            return None
        time.sleep(_AGAIN_S)
