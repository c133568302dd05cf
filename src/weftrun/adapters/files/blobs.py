"""Blobs as files named by their checksum (port Blobs).

A file is written under a passing name, synced, and only then given its own, so that whatever has a blob's name is the
whole blob. The folder is synced too: a name that a crash forgets would lose the bytes behind a record (C2).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from weftrun.model.errors import JournalCorrupt, JournalError, JournalFull
from weftrun.model.values import Blob

CHUNK_BYTES = 1024 * 1024
PASSING = ".partial-"
_NAME = re.compile(r"[0-9a-f]{64}")
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FileBlobs:
    """Blobs in one folder.

    Args:
        folder: made if it is not there.
        writable: False for those who only read; then nothing is made and nothing is tidied.

    Raises:
        JournalError: the folder can't be made or tidied.
    """

    def __init__(self, folder: Path, *, writable: bool = True) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        if writable:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                # Left by an engine that died while it wrote; there is one engine a folder, and it is us.
                for left in folder.glob(PASSING + "*"):
                    left.unlink(missing_ok=True)
            except OSError as error:
                raise JournalError(f"Values can't be stored in {folder}: {error.strerror}. Make it a folder.") from None

    def put(self, descriptor: int, nbytes: int) -> Blob:
        """Store `nbytes` bytes of an open file, from its start, and return once they are durable (C2)."""
        passing = self._folder / f"{PASSING}{os.getpid()}-{next(self._numbers)}"
        try:
            sha256 = _copy(descriptor, nbytes, passing)
            # Over one that is there already, too: this one was synced by us, whatever became of the other.
            passing.rename(self._folder / sha256)
            _sync_folder(self._folder)
        except OSError as error:
            raise self._not_stored(error, nbytes) from None
        finally:
            with contextlib.suppress(OSError):  # a disk that can't store it may not release it either
                passing.unlink(missing_ok=True)
        return Blob(sha256, nbytes)

    def _not_stored(self, error: OSError, nbytes: int) -> JournalError:
        if error.errno in _NO_ROOM:
            return JournalFull(f"No room is left for {nbytes} bytes in {self._folder}. Make room; it is tried again.")
        return JournalError(f"A value of {nbytes} bytes can't be stored in {self._folder}: {error}.")

    def open(self, blob: Blob) -> int:
        """Return a new read-only descriptor. `JournalCorrupt` if it is missing or has another size."""
        path = self._folder / blob.sha256
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise JournalCorrupt(
                f"The value {path}, which a record names, is missing. Restore it from a backup."
            ) from None
        except OSError as error:
            raise JournalError(f"The value {path} can't be read: {error.strerror}.") from None
        nbytes = os.fstat(descriptor).st_size
        if nbytes != blob.nbytes:
            os.close(descriptor)
            raise JournalCorrupt(
                f"The value {path} has {nbytes} bytes, and {blob.nbytes} were recorded. Restore it from a backup."
            )
        return descriptor

    def verify(self, blob: Blob) -> bool:
        """Read the whole blob and say whether its content has its name."""
        descriptor = self.open(blob)
        try:
            digest = hashlib.sha256()
            for chunk in _chunks(descriptor, blob.nbytes):
                digest.update(chunk)
        finally:
            os.close(descriptor)
        return digest.hexdigest() == blob.sha256

    def names(self) -> Iterable[str]:
        """Yield the SHA-256 of every stored blob."""
        with os.scandir(self._folder) as entries:
            yield from (entry.name for entry in entries if _NAME.fullmatch(entry.name))

    def remove(self, sha256: str) -> int:
        """Remove a blob, if it is there; return how many bytes it had."""
        path = self._folder / sha256
        try:
            nbytes = path.stat().st_size
        except FileNotFoundError:
            return 0
        path.unlink(missing_ok=True)
        return nbytes


def _chunks(descriptor: int, nbytes: int) -> Iterator[memoryview]:
    """Yield the file in pieces, each valid until the next. Reading, unlike mapping, can't be killed by SIGBUS."""
    buffer = memoryview(bytearray(min(CHUNK_BYTES, max(nbytes, 1))))
    at = 0
    while at < nbytes:
        count = os.preadv(descriptor, [buffer[: nbytes - at]], at)
        if count == 0:
            raise OSError(errno.ENODATA, f"it ends after {at} of {nbytes} bytes")
        yield buffer[:count]
        at += count


def _copy(source: int, nbytes: int, path: Path) -> str:
    """Copy into a new, synced file, and return the SHA-256 of what was copied."""
    digest = hashlib.sha256()
    target = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for chunk in _chunks(source, nbytes):
            digest.update(chunk)
            left = chunk
            while left:
                left = left[os.write(target, left) :]
        os.fsync(target)
    finally:
        os.close(target)
    return digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
