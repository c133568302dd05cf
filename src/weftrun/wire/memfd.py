"""Sealed memory files: how an Object is made, and how a receiver knows that nobody can change it any more."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Sequence
from typing import Final

SEALS: Final = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
_IOV_MAX: Final = 1024


def write_all(descriptor: int, pieces: Sequence[bytes | memoryview]) -> int:
    """Write pieces one after the other at the file's position, without joining them; return how many bytes."""
    views = [memoryview(piece).cast("B") for piece in pieces if len(piece)]
    total = 0
    first = 0
    while first < len(views):
        written = os.writev(descriptor, views[first : first + _IOV_MAX])
        total += written
        while first < len(views) and written >= len(views[first]):
            written -= len(views[first])
            first += 1
        if written:
            views[first] = views[first][written:]
    return total


def sealed(pieces: Sequence[bytes | memoryview]) -> tuple[int, int]:
    """Make a sealed memfd of these pieces; return its descriptor (close-on-exec) and its size in bytes."""
    descriptor = os.memfd_create("weftrun-object", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        nbytes = write_all(descriptor, pieces)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, nbytes


def stored(pieces: Sequence[bytes | memoryview], folder: str) -> tuple[int, int]:
    """Write these pieces to a file without a name in `folder`; return its descriptor (close-on-exec) and its size."""
    descriptor = os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        nbytes = write_all(descriptor, pieces)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, nbytes


def read_private(descriptor: int, nbytes: int) -> mmap.mmap:
    """Read a file into memory of this process's own; `nbytes` > 0. Raises EOFError where it is shorter."""
    memory = mmap.mmap(-1, nbytes)
    at = 0
    with memoryview(memory) as view:
        while at < nbytes:
            count = os.preadv(descriptor, [view[at:]], at)
            if not count:
                raise EOFError(f"An Object of {nbytes} bytes ends after {at}.")
            at += count
    return memory


def is_sealed(descriptor: int) -> bool:
    """Say whether a descriptor is a memfd that nobody can write, resize or unseal."""
    try:
        return fcntl.fcntl(descriptor, fcntl.F_GET_SEALS) & SEALS == SEALS
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False


def map_private(descriptor: int, nbytes: int) -> mmap.mmap:
    """Map a file read-only and private (kernels before 6.7 refuse a shared map of a sealed memfd); `nbytes` > 0."""
    return mmap.mmap(descriptor, nbytes, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ)
