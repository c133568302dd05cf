"""Buckets in a folder: a file for each key, replaced by rename.

    ROOT/BUCKET/QUOTED-KEY      the value
    ROOT/.new/NAME              a value that is being written
    ROOT/.once/SHA256           the tokens of writes that were carried out: each holds the name of its value in `.new`

A write with a token is carried out in two moves, either of which may be the last one before a crash: its token is
linked in (it names the value in `.new`), then the value is renamed to its place. Whoever comes with the token again
finds the value still in `.new` and renames it, or does not, and has nothing to do.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import unquote

from weftrun.adapters.buckets.names import name_of
from weftrun.model.selecting import Selection, selected
from weftrun.ports.buckets import ABSENT, KeyChanged, Selected, Stat

_MAPPED_BYTES: Final = 65_536


class FileBuckets:
    """Buckets in a folder of this host; any number of processes may use it at once."""

    def __init__(self, root: str) -> None:
        """Use the folder `root`, which is made by the first write."""
        self._root = os.path.abspath(root)

    def stat(self, bucket: str, key: str) -> Stat | None:
        """Return what is known of a key."""
        try:
            return _stat(os.stat(self._path(bucket, key)))
        except FileNotFoundError:
            return None

    def read(self, bucket: str, key: str, offset: int = 0, nbytes: int = -1) -> tuple[Stat, bytes | memoryview] | None:
        """Return bytes of a key; many of them are mapped, not copied."""
        try:
            descriptor = os.open(self._path(bucket, key), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            stat = _stat(os.fstat(descriptor))
            size = max(0, stat.nbytes - offset)
            if nbytes >= 0:
                size = min(size, nbytes)
            if size < _MAPPED_BYTES:
                return stat, os.pread(descriptor, size, offset)
            # Files are replaced, never changed, so that what is mapped can neither change nor shrink.
            whole = mmap.mmap(descriptor, 0, prot=mmap.PROT_READ)
            return stat, memoryview(whole)[offset : offset + size]
        finally:
            os.close(descriptor)

    def select(self, bucket: str, key: str, selection: Selection) -> Selected | None:
        """Choose lines of a key."""
        found = self.read(bucket, key)
        if found is None:
            return None
        return Selected(found[0], selected(selection, found[1]), "here", "the bucket is kept on this host")

    def write(self, bucket: str, key: str, data: bytes | memoryview, *, once: str = "", if_version: str = "") -> Stat:
        """Set the value of a key by rename; it is on the disk when this returns."""
        path = self._path(bucket, key)
        for folder in (os.path.dirname(path), self._root + "/.new", self._root + "/.once"):
            os.makedirs(folder, exist_ok=True)
        token = f"{self._root}/.once/{hashlib.sha256(once.encode()).hexdigest()}" if once else ""
        with self._locked(path):
            if token and self._finished(token, path):
                return _stat(os.stat(path)) if os.path.exists(path) else Stat(len(data), "")
            if if_version and (ABSENT if (now := self.stat(bucket, key)) is None else now.version) != if_version:
                raise KeyChanged(f"The key {key!r} of bucket {bucket!r} was written by somebody else meanwhile.")
            new = _new(f"{self._root}/.new", data)
            if token:
                os.rename(_new(f"{self._root}/.new", os.path.basename(new).encode()), token)
            os.rename(new, path)
            _sync_folder(os.path.dirname(path))
            return _stat(os.stat(path))

    def delete(self, bucket: str, key: str) -> bool:
        """Remove a key."""
        try:
            os.unlink(self._path(bucket, key))
        except FileNotFoundError:
            return False
        return True

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the keys that begin with `prefix`."""
        try:
            names = os.listdir(f"{self._root}/{name_of('bucket', bucket)}")
        except FileNotFoundError:
            return []
        return sorted(key for key in map(unquote, names) if key.startswith(prefix))

    def _path(self, bucket: str, key: str) -> str:
        return f"{self._root}/{name_of('bucket', bucket)}/{name_of('key', key)}"

    def _finished(self, token: str, path: str) -> bool:
        """Say whether a token is known, and finish its write where a crash came between its two moves."""
        try:
            with open(token, encoding="ascii") as file:
                new = f"{self._root}/.new/{file.read()}"
        except FileNotFoundError:
            return False
        try:
            os.rename(new, path)
            _sync_folder(os.path.dirname(path))
        except FileNotFoundError:
            pass
        return True

    @contextmanager
    def _locked(self, path: str) -> Iterator[None]:
        """Let one writer at a time have a key; its lock goes with its process."""
        name = f"{self._root}/.new/lock-{hashlib.sha256(path.encode()).hexdigest()[:2]}"
        descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _stat(stat: os.stat_result) -> Stat:
    return Stat(stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}")


def _new(folder: str, data: bytes | memoryview) -> str:
    """Return a new file with this content, which is on the disk."""
    descriptor, path = tempfile.mkstemp(dir=folder)
    try:
        rest = memoryview(data).cast("B")
        while len(rest):
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return path


def _sync_folder(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
