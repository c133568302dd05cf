"""State: regions of memory that calls on one host share, by key, and the copies of them in a bucket.

A region is a file in memory (below `/dev/shm`), mapped over pages of the linear memory of each instance that asks for
it, so that all see one another's writes at once. Nothing moves to or from the bucket unless `push` or `pull` is called.
Source: S. Shillaker and P. Pietzuch, "Faasm", USENIX ATC 2020, section 4 (two tiers of state).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
import time
from typing import Final, NamedTuple
from urllib.parse import quote

from weftrun.adapters.wasm.mapping import map_file
from weftrun.model.errors import WasmRefused
from weftrun.ports.buckets import ABSENT, Buckets, BucketsUnreachable, KeyChanged, Stat

_SHARED_MEMORY: Final = "/dev/shm"
STATE: Final = "state/"
APPENDED: Final = "appended/"
_NAME_BYTES_MAX: Final = 255
_AGAIN_S: Final = 0.000_5
_TRIES: Final = 50


class Region(NamedTuple):
    """A region in this process.

    Attributes:
        descriptor: of its file.
        nbytes: how long it is; that is fixed when it is made.
    """

    descriptor: int
    nbytes: int

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return a copy of bytes of it."""
        return os.pread(self.descriptor, nbytes, offset)

    def write(self, offset: int, data: bytes) -> None:
        """Write into it."""
        os.pwrite(self.descriptor, data, offset)


class BucketState:
    """The state that functions of one bucket share on this host.

    A lock is of this object, and is free when that is closed or its process dies.

    Attributes:
        folder: where the regions are.
    """

    def __init__(self, buckets: str, bucket: str) -> None:
        """Stand for the state of a bucket; `buckets` says where that is kept."""
        base = f"{_SHARED_MEMORY}/weftrun-{os.getuid()}"
        self.folder = f"{base}/{hashlib.sha256(f'{buckets} {bucket}'.encode()).hexdigest()[:24]}"
        self._base = base
        self._bucket = bucket
        self._regions: dict[str, Region] = {}
        self._locks: dict[str, int] = {}

    def find(self, key: str, buckets: Buckets | None) -> Region | None:
        """Return the region of a key, made of the copy in the bucket where there is only that.

        None where there is neither.
        """
        found = self._regions.get(key)
        if found is None:
            try:
                found = self._opened(key, os.O_RDWR)
            except FileNotFoundError:
                pass
        if found is None and buckets is not None and (copy := buckets.read(self._bucket, STATE + key)) is not None:
            found = self.make(key, len(copy[1]), copy[1])
        return found

    def make(self, key: str, nbytes: int, content: bytes | memoryview = b"") -> Region:
        """Return the region of a key, which is made with `nbytes` bytes if it is not there."""
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if os.stat(self._base).st_uid != os.getuid():
            raise WasmRefused(f"{self._base} belongs to somebody else, so no state can be kept there.")
        new = f"{self._path(key)}.{os.getpid()}.{threading.get_ident()}"
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(descriptor, max(nbytes, len(content)))
            if len(content):
                os.pwrite(descriptor, content, 0)
            os.link(new, self._path(key))  # whole or not at all, and only the first one
        except FileExistsError:
            pass
        finally:
            os.unlink(new)
            os.close(descriptor)
        return self._opened(key, os.O_RDWR)

    def map(self, region: Region, address: int) -> None:
        """Map a region at an address of this process, in place of what is there."""
        map_file(address, region.nbytes, region.descriptor, shared=True)

    def push(
        self, key: str, buckets: Buckets, offset: int = 0, nbytes: int = -1, *, guard: str = ""
    ) -> Stat | None:  # fmt: skip
        """Copy a region, or a part of it, into the bucket; None where it is not there.

        Of a part, the rest of the copy stays as others have pushed it.

        Raises:
            KeyChanged: the copy has another version than `guard`.
        """
        region = self.find(key, None)
        if region is None:
            return None
        end = region.nbytes if nbytes < 0 else min(offset + nbytes, region.nbytes)
        if offset <= 0 and end == region.nbytes:
            whole = os.pread(region.descriptor, region.nbytes, 0)
            return buckets.write(self._bucket, STATE + key, whole, if_version=guard)
        for _ in range(_TRIES):
            copy = buckets.read(self._bucket, STATE + key)
            new = bytearray(region.nbytes)
            if copy is not None:
                new[: len(copy[1])] = copy[1]
            new[offset:end] = os.pread(region.descriptor, max(0, end - offset), offset)
            version = guard or (ABSENT if copy is None else copy[0].version)
            try:
                return buckets.write(self._bucket, STATE + key, bytes(new), if_version=version)
            except KeyChanged:
                if guard:
                    raise
        raise BucketsUnreachable(f"The copy of the state {key!r} is written all the time.")

    def pull(self, key: str, buckets: Buckets, offset: int = 0, nbytes: int = -1) -> Stat | None:
        """Copy what the bucket has, or a part, into the region, which is made if need be; None where it has nothing."""
        region = self.find(key, buckets)
        copy = buckets.read(self._bucket, STATE + key, offset, nbytes)
        if copy is None or region is None:
            return None
        os.pwrite(region.descriptor, copy[1][: max(0, region.nbytes - offset)], offset)
        return copy[0]

    def lock(self, key: str, *, writes: bool, until: float) -> bool:
        """Wait until nobody else on this host has a lock of a key, or nobody has one for writing.

        False when the time `until`, of the monotonic clock, comes before that.
        """
        self.unlock(key)
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        descriptor = os.open(self._path(key) + ".lock", flags, 0o600)
        self._locks[key] = descriptor
        wanted = (fcntl.LOCK_EX if writes else fcntl.LOCK_SH) | fcntl.LOCK_NB
        while True:
            try:
                fcntl.flock(descriptor, wanted)
                return True
            except BlockingIOError:
                if time.monotonic() > until:
                    self.unlock(key)
                    return False
                time.sleep(_AGAIN_S)

    def unlock(self, key: str) -> bool:
        """Give a lock back; False where there was none."""
        descriptor = self._locks.pop(key, None)
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def close(self) -> None:
        """Give all locks back and close all regions; what is mapped stays mapped."""
        for key in list(self._locks):
            self.unlock(key)
        for region in self._regions.values():
            os.close(region.descriptor)
        self._regions.clear()

    def _opened(self, key: str, flags: int) -> Region:
        found = self._regions.get(key)
        if found is None:
            descriptor = os.open(self._path(key), flags | os.O_CLOEXEC)
            found = self._regions[key] = Region(descriptor, os.fstat(descriptor).st_size)
        return found

    def _path(self, key: str) -> str:
        name = quote(key, safe="").replace(".", "%2E")
        if not 0 < len(name) <= _NAME_BYTES_MAX - 40:
            raise WasmRefused(
                f"{key[:80]!r} can't be the name of state: it has 1 to {_NAME_BYTES_MAX - 40} characters."
            )
        return f"{self.folder}/{name}"


def append(buckets: Buckets, bucket: str, key: str, data: bytes, once: str) -> None:
    """Add bytes to what was appended under a key, after those of others; once for each token.

    Raises:
        BucketsUnreachable: others append all the time, or the bucket can't be asked.
    """
    for _ in range(_TRIES):
        now = buckets.read(bucket, APPENDED + key)
        before, version = (b"", ABSENT) if now is None else (bytes(now[1]), now[0].version)
        try:
            buckets.write(bucket, APPENDED + key, before + data, once=once, if_version=version)
            return
        except KeyChanged:
            continue
    raise BucketsUnreachable(f"Others append to {key!r} all the time.")
