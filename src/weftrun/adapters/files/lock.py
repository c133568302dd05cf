"""The lock that an engine holds on its Journal while it lives: it tells liveness, and guards nothing else (O1).

It is an flock, so the kernel frees it in the very moment in which the process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from pathlib import Path

import msgspec

from weftrun.model.errors import JournalBusy, JournalError


class Holder(msgspec.Struct, frozen=True):
    """The process that has a Journal open.

    Attributes:
        pid: its number.
        started: when it was started, in clock ticks after boot: tells it from a later process of the same number.
    """

    pid: int
    started: int


class EngineLock:
    """Held from construction to `close`.

    Args:
        folder: the folder beside the Journal (`X.db.d`), made if it is not there.
        journal: path of the Journal, for the error.
    """

    def __init__(self, folder: Path, journal: Path) -> None:
        path = folder / "lock"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise JournalError(
                f"{path} can't be made: {error.strerror}. An engine must be able to write there."
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise _busy(folder, journal) from None
        self._descriptor: int | None = descriptor
        own = Holder(os.getpid(), _started(os.getpid()) or 0)
        # Who it is, is a courtesy to others: a full disk, which has no room for it, is the Journal's to tell of.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(own), 0)
        _held.add(self)

    def close(self) -> None:
        """Free the lock. Idempotent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
            # Not by closing alone: a process that is just being forked still has a copy of the descriptor.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)

    def let_go(self) -> None:
        """Forget the lock in a child of a fork; it stays with the parent."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def holder(folder: Path) -> Holder | None:
    """Return the living process that holds the lock of a folder, or None. Doesn't touch the lock."""
    try:
        found = msgspec.json.decode((folder / "lock").read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError):
        return None
    return found if _started(found.pid) == found.started else None


def _busy(folder: Path, journal: Path) -> JournalBusy:
    found = holder(folder)
    who = f"process {found.pid}" if found else "another process"
    return JournalBusy(f"{journal} is open in an engine of {who}. Close that one first, or use another Journal.")


def _started(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # After the name, which may itself hold spaces and parentheses, field 22 is the start time: see proc(5).
    return int(stat.rpartition(")")[2].split()[19])


_held: weakref.WeakSet[EngineLock] = weakref.WeakSet()


def _let_go_in_child() -> None:
    """A fork shares the lock; a child that outlives its engine would keep the Journal shut."""
    for lock in list(_held):
        lock.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)
