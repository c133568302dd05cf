"""Files that engines hold locked while they live: they tell liveness, and guard nothing else (O1).

They are flocks, so the kernel frees them in the very moment in which a process ends, however it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

from weftrun.model.errors import JournalBusy, JournalError
from weftrun.model.ids import SessionUid
from weftrun.model.lease import Session

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class EngineLocks:
    """The locks of one engine, and a look at those of others (port Liveness).

    Besides a file of its own each engine shares `folder/lock`: whoever has that one alone knows that no engine is here.

    Args:
        folder: on a file system of this host, made if it is not there; all engines of the Journal use the same.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        if self._folder in _left_behind:
            raise JournalBusy(
                f"The Journal of {folder} is open in the process that this one was forked from, and SQLite can't open "
                "a file again after a fork. Open it in a process of its own (subprocess, or multiprocessing's `spawn`)."
            )
        self._engines = folder / "engines"
        try:
            self._engines.mkdir(parents=True, exist_ok=True)
            self._shared: int | None = _opened(folder / "lock")
        except OSError as error:
            raise _not_made(folder / "lock", error) from None
        fcntl.flock(self._shared, fcntl.LOCK_SH)
        self._own: int | None = None
        _held.add(self)

    def begin(self, uid: SessionUid, ttl_s: float) -> Session:
        """Return a new session of this process, whose file is locked from now on."""
        self._end_own()
        path = self._engines / uid
        try:
            descriptor = _opened(path)
        except OSError as error:
            raise _not_made(path, error) from None
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        self._own = descriptor
        return Session(uid, _host(), os.getpid(), str(path), ttl_s)

    def is_here(self, session: Session) -> bool:
        """Say whether a session is of this host."""
        return is_here(session)

    def ended(self, session: Session) -> bool:
        """Say whether the process of a session of this host has ended: its file is there, and free."""
        return has_ended(session)

    def forget(self, session: Session) -> None:
        """Remove the file of a session that is gone."""
        if self.is_here(session):
            with contextlib.suppress(OSError):
                os.unlink(session.lock)

    def close(self) -> None:
        """Free both locks. Idempotent. The own file stays where it was not forgotten: others see that it is free."""
        self._end_own()
        shared, self._shared = self._shared, None
        if shared is not None:
            _free(shared)

    def _end_own(self) -> None:
        own, self._own = self._own, None
        if own is not None:
            _free(own)

    def release(self) -> None:
        """Forget the locks in a child of a fork; they stay with the parent."""
        if self._shared is not None:
            _left_behind.add(self._folder)
        own, self._own = self._own, None
        shared, self._shared = self._shared, None
        for descriptor in (own, shared):
            if descriptor is not None:
                os.close(descriptor)


def is_here(session: Session) -> bool:
    """Say whether a session is of this host."""
    return session.host == _host()


def has_ended(session: Session) -> bool:
    """Say whether the process of a session of this host has ended: its file is there, and free."""
    if not is_here(session):
        return False
    try:
        descriptor = os.open(session.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[bool]:
    """Keep engines from coming for as long as the block lasts; gives False, and keeps nobody, where one is here."""
    folder.mkdir(exist_ok=True)
    descriptor = _opened(folder / "lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        _free(descriptor)


@contextlib.contextmanager
def not_alone(folder: Path) -> Iterator[None]:
    """Keep everybody from being `alone` for as long as the block lasts: no value is removed meanwhile."""
    folder.mkdir(exist_ok=True)
    descriptor = _opened(folder / "lock")
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        _free(descriptor)


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)


def _free(descriptor: int) -> None:
    # Not by closing alone: a process that is just being forked still has a copy of the descriptor.
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def _not_made(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path} can't be made: {error.strerror}. An engine must be able to write there.")


def _host() -> str:
    """Return the name of the running kernel."""
    return _BOOT_ID.read_text(encoding="ascii").strip()


_held: weakref.WeakSet[EngineLocks] = weakref.WeakSet()
_left_behind: set[Path] = set()
"""Folders of engines that were open here before this process was forked."""


def _release_in_child() -> None:
    """A fork shares the locks; in a child that outlives its engine they would say that it lives."""
    for locks in list(_held):
        locks.release()


os.register_at_fork(after_in_child=_release_in_child)
