"""State in Python Functions: the same memory that WebAssembly functions of the bucket map."""

from __future__ import annotations

import mmap
import time
from collections.abc import Iterator
from contextlib import contextmanager

from weftrun.adapters.wasm.global_lock import acquire
from weftrun.adapters.wasm.state import STATE, BucketState
from weftrun.model.errors import UsageError
from weftrun.ports.buckets import Buckets, KeyChanged


class PythonState:
    """The state of a key, as memory of this process, until it is closed; what was made of its memory stays valid.

    Attributes:
        memory: all of it; what is written there is seen by all who share it, at once.
    """

    def __init__(self, key: str, nbytes: int, bucket: str, where: str, buckets: Buckets) -> None:
        """Map the state of a key, which is made with `nbytes` zeros where there is none.

        Raises:
            UsageError: there is none, and `nbytes` is 0.
        """
        self._key, self._bucket, self._buckets = key, bucket, buckets
        self._state = BucketState(where, bucket)
        region = self._state.find(key, buckets)
        if region is None:
            if nbytes <= 0:
                raise UsageError(f"There is no state {key!r} in the bucket {bucket!r}: say how long it is, to make it.")
            region = self._state.make(key, nbytes)
        self.memory = memoryview(mmap.mmap(region.descriptor, region.nbytes))
        self._guard = ""

    def push(self) -> None:
        """Copy it into the bucket.

        Raises:
            ConnectionError: under a lock over all hosts, somebody else has written it meanwhile.
        """
        try:
            stat = self._state.push(self._key, self._buckets, guard=self._guard)
        except KeyChanged as error:
            raise ConnectionError(f"{error} Pull it again.") from None
        if self._guard and stat is not None:
            self._guard = stat.version

    def pull(self) -> bool:
        """Copy what the bucket has into it; False where that has nothing."""
        stat = self._state.pull(self._key, self._buckets)
        if self._guard and stat is not None:
            self._guard = stat.version
        return stat is not None

    @contextmanager
    def locked(self, *, everywhere: bool = False, timeout_s: float = 60.0) -> Iterator[None]:
        """Hold its lock, on this host or over all hosts.

        Raises:
            TimeoutError: it was not free in time.
            ConnectionError: the lock over all hosts was lost, since this process was not running for seconds.
        """
        until = time.monotonic() + timeout_s
        late = TimeoutError(f"The lock of the state {self._key!r} was not free within {timeout_s:g} s.")
        if not everywhere:
            if not self._state.lock(self._key, writes=True, until=until):
                raise late
            try:
                yield
            finally:
                self._state.unlock(self._key)
            return
        held = acquire(self._buckets, self._bucket, self._key, STATE + self._key, until=until)
        if held is None:
            raise late
        self._guard = held.guard
        try:
            yield
        finally:
            self._guard = ""
            held.release()
        held.check()

    def close(self) -> None:
        """Give locks back, and let go of the memory as soon as nothing is made of it any more."""
        self._state.close()

    def __enter__(self) -> PythonState:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
