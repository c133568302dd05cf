"""A disk that fails when told to, as a SQLite VFS: full disks and I/O errors at an exact write or sync.

disk = Disk("faulty-disk")
journal = SqliteJournal(path, entropy, pause, vfs=disk.name)
disk.fail("sync", disk.broken(), file="-wal")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import apsw

Operation = Literal["write", "sync"]


class DiskFault:
    """Raises an error in chosen calls. `met` counts how often it did."""

    def __init__(self, operation: Operation, make: Callable[[], Exception], file: str, skip: int, times: int) -> None:
        self._operation = operation
        self._make = make
        self._file = file
        self._skip = skip
        self._left = times
        self.met = 0

    def meet(self, operation: Operation, file: str) -> None:
        """Raise the error if this is the call it is meant for."""
        if operation != self._operation or not file.endswith(self._file):
            return
        if self._skip > 0:
            self._skip -= 1
        elif self._left > 0:
            self._left -= 1
            self.met += 1
            raise self._make()


class _File(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        self._disk = disk
        self._name = name.filename() if isinstance(name, apsw.URIFilename) else name or ""
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.meet("write", self._name)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.meet("sync", self._name)
        super().xSync(flags)


class Disk(apsw.VFS):
    """The default VFS of SQLite, with faults. Registered under `name` as long as it lives."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._faults: list[DiskFault] = []
        self.calls: list[tuple[Operation, str]] = []
        super().__init__(name, "")

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        """Open a file whose writes and syncs may fail."""
        return _File(self, name, flags)

    def fail(
        self, operation: Operation, make: Callable[[], Exception], *, file: str = "", skip: int = 0, times: int = 1
    ) -> DiskFault:
        """Let calls fail from now on.

        Args:
            operation: which calls.
            make: makes the error, such as `no_room` or `broken`.
            file: end of the file's name, such as `-wal`.
            skip: how many calls to let through before.
            times: how many calls fail then.
        """
        fault = DiskFault(operation, make, file, skip, times)
        self._faults.append(fault)
        return fault

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._faults.clear()

    def meet(self, operation: Operation, file: str) -> None:
        """Note a call, and raise what it is to raise."""
        self.calls.append((operation, file))
        for fault in self._faults:
            fault.meet(operation, file)


def no_room() -> Exception:
    """Make the error of a full disk."""
    return apsw.FullError("no room is left")


def broken() -> Exception:
    """Make the error of a disk that gives up in fsync or write."""
    return apsw.exception_for(apsw.SQLITE_IOERR_FSYNC)
