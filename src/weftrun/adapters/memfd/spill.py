"""Spilled Objects: files named by their checksum, for what is over the quota or the bound of descriptors.

They live as long as the engine; what must outlive it is a blob, which is another adapter's.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path


class Spill:
    """A folder of files, counted by the Objects that share each. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """Use `folder`, which is made with the first file."""
        self._folder = folder
        self._users: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, pieces: Iterable[bytes | memoryview]) -> str:
        """Write a file and return its name, the SHA-256 of its bytes; equal bytes share one file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="new-", delete=False) as file:
            try:
                for piece in pieces:
                    digest.update(piece)
                    file.write(piece)
            except BaseException:
                os.unlink(file.name)
                raise
        name = digest.hexdigest()
        with self._lock:
            Path(file.name).replace(self._folder / name)
            self._users[name] += 1
        return name

    def open(self, name: str) -> int:
        """Return a new read-only descriptor."""
        return os.open(self._folder / name, os.O_RDONLY | os.O_CLOEXEC)

    def drop(self, name: str) -> None:
        """Forget one user of a file; the last one removes it."""
        with self._lock:
            self._users[name] -= 1
            if self._users[name] <= 0:
                del self._users[name]
                (self._folder / name).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove every file, and the folder where it is empty then."""
        with self._lock:
            for name in self._users:
                (self._folder / name).unlink(missing_ok=True)
            self._users.clear()
        with contextlib.suppress(OSError):
            self._folder.rmdir()
