"""State that Python Functions share with each other, and with WebAssembly functions of the same bucket."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from typing import Protocol, Self, cast

from weftrun.model.errors import UsageError
from weftrun.sdk.wasm import sandboxed


class SharedState(Protocol):
    """The state of a key, as memory.

    Attributes:
        memory: all of it; what is written there is seen at once by all on this host who share it.
    """

    memory: memoryview

    def push(self) -> None:
        """Copy it into the bucket; see `weftrun_state_push`."""

    def pull(self) -> bool:
        """Copy what the bucket has into it; False where that has nothing."""

    def locked(self, *, everywhere: bool = False, timeout_s: float = 60.0) -> AbstractContextManager[None]:
        """Hold its lock: on this host, or over all hosts, which the bucket keeps."""

    def close(self) -> None:
        """Give locks back. What was made of the memory stays valid."""

    def __enter__(self) -> Self:
        """Return it."""

    def __exit__(self, *error: object) -> None:
        """Close it."""


def shared_state(key: str, nbytes: int = 0, *, bucket: str, buckets: str | os.PathLike[str]) -> SharedState:
    """Map the state of a key into this process: in a Function, as WebAssembly functions of the bucket do.

    A Function that uses it has a visible effect: an Attempt that is made again finds what the one before it left.

    Args:
        key: of the state.
        nbytes: how long it is made where there is none yet, in bytes; else it is as long as it is.
        bucket: that it is of.
        buckets: where that is kept: a folder, the URL of a storage role, `s3://...` or `postgresql://...`. Only those
            who say the same share it.

    Raises:
        UsageError: there is no such state, and `nbytes` does not say how long it is to be.
        Unsupported: the extra `wasm` is not installed.
        ConnectionError: whoever keeps the bucket can't be reached.
    """
    where = os.fspath(buckets)
    if not bucket or not where:
        raise UsageError("State is of a bucket: give `bucket` and `buckets`.")
    if "://" not in where:
        where = os.path.abspath(where)
    return cast("SharedState", sandboxed("shared_state").shared_state(key, nbytes, bucket, where))
