"""One SQLite connection to a Journal: opening, the write lock, and the one place where a driver's error is translated.

Nothing here knows what a Run is.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

import apsw

from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.errors import (
    CommitUnknown,
    InternalError,
    JournalBusy,
    JournalCorrupt,
    JournalError,
    JournalFull,
    WeftrunError,
)

T = TypeVar("T")

PAUSE_MIN_S = 0.0001
PAUSE_MAX_S = 0.0005
READ_BUSY_MS = 5_000
_LOG_EVERY = 8
_LOG_STEP = bytes(256 * 1024)
_LOG_BYTES = 17 * len(_LOG_STEP)
"""More than the thousand pages after which SQLite copies its log into the database and begins it anew."""


class Jitter(Protocol):
    """What is drawn between two tries for the write lock (port Entropy)."""

    def jitter(self, name: str) -> float:
        """Return a number from 0 to 1 for the purpose `name`."""


class WriteTurn:
    """How a connection waits for the write lock.

    SQLite's own busy handler backs off to 100 ms and starves the third process; short waits with jitter are fair.

    Args:
        patience_s: how long to try before `JournalBusy`, in seconds; 0 tries once.
        pause: stops the thread for so many seconds.
    """

    def __init__(self, entropy: Jitter, pause: Callable[[float], None], patience_s: float) -> None:
        self._entropy = entropy
        self._pause = pause
        self._patience_s = patience_s

    def tries(self) -> Iterator[None]:
        """Yield once at once, and then after each pause until the patience is used up."""
        yield
        waited_s = 0.0
        while waited_s < self._patience_s:
            pause_s = PAUSE_MIN_S + (PAUSE_MAX_S - PAUSE_MIN_S) * self._entropy.jitter("write lock")
            self._pause(pause_s)
            waited_s += pause_s
            yield


class LogRoom:
    """Keeps the write-ahead log longer than what is in it, so that a commit does not change the length of a file.

    A sync of a file that has grown waits for the file system's own journal too: on ext4 a commit takes twice as long,
    and many times as long beside others who write. SQLite leaves the log as long as it was when it begins it anew, so
    this is about the first thousand pages after it was made. What stands after its last frame is nothing to SQLite,
    which reads up to the first frame that has not the salt of the log.
    """

    def __init__(self) -> None:
        self._commits = 0
        self._is_long = False

    def make(self, connection: apsw.Connection) -> None:
        """Lengthen the log now and then. Called in a transaction, whose lock keeps all others from writing to it."""
        self._commits += 1
        if self._is_long or self._commits % _LOG_EVERY:
            return
        with contextlib.suppress(OSError):  # a full disk is found by what must be written
            descriptor = os.open(connection.filename_wal, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                self._is_long = os.fstat(descriptor).st_size >= _LOG_BYTES
                if not self._is_long:
                    os.write(descriptor, _LOG_STEP)
            finally:
                os.close(descriptor)


def told(error: apsw.Error, path: Path, doing: str) -> WeftrunError:
    """Return the error of this project for one of the driver's. `doing` completes "while …"."""
    match error:
        case apsw.FullError():
            return JournalFull(f"No room is left on the disk of {path} while {doing}. Make room; it is tried again.")
        case apsw.BusyError() | apsw.LockedError():
            return JournalBusy(f"{path} is locked by another process while {doing}. Try again, or end that process.")
        case apsw.NotADBError():
            return JournalCorrupt(f"{path} is not a Journal: it is no SQLite database. Give another path.")
        case apsw.CorruptError() | apsw.FormatError():
            return JournalCorrupt(f"{path} is damaged, seen while {doing}. Restore it from a backup.")
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return JournalError(f"{path} can't be written: it, or its folder, is read-only. Change its permissions.")
        case apsw.CantOpenError():
            return JournalError(f"{path} can't be opened{_why_not(path)}.")
        case apsw.IOError():
            return JournalError(f"The disk gave an error at {path} while {doing}: {error}. Look at the host's log.")
        case _:
            return InternalError(f"SQLite refused a statement while {doing} in {path}: {error}. Please report this.")


@contextmanager
def translated(path: Path, doing: str) -> Iterator[None]:
    """Raise errors of this project instead of the driver's."""
    try:
        yield
    except apsw.Error as error:
        raise told(error, path, doing) from None


def _why_not(path: Path) -> str:
    if path.is_dir():
        return ": it is a folder. Name a file"
    if not path.parent.is_dir():
        return f": the folder {path.parent} does not exist. Make it"
    if path.exists() and not os.access(path, os.R_OK):
        return ": this user may not read it. Change its permissions"
    return f": this user may not write into {path.parent}, where SQLite keeps files beside it. Change its permissions"


def _require_file(path: Path) -> None:
    # SQLite itself reports a folder as an error of the disk.
    if path.is_dir():
        raise apsw.CantOpenError("a folder")


def open_writer(path: Path, *, create: bool, vfs: str | None) -> apsw.Connection:
    """Open a file for reading and writing; nothing in it is changed."""
    _require_file(path)
    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if create else 0)
    connection = apsw.Connection(str(path), flags=flags, vfs=vfs)
    connection.set_busy_timeout(0)
    return connection


def open_reader(path: Path) -> apsw.Connection:
    """Open a file for reading beside a writer.

    Where the folder can't be written and nobody has the file open, SQLite can't make its shared index there; then the
    file is read as one that doesn't change.
    """
    _require_file(path)
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
        # Nobody writes for long enough to be in its way, but who closes the file last has it alone for a moment.
        connection.set_busy_timeout(READ_BUSY_MS)
        connection.execute("SELECT 1 FROM sqlite_schema").fetchall()
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        if not path.is_file() or not os.access(path, os.R_OK) or path.with_name(path.name + "-wal").exists():
            raise
        flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
        connection = apsw.Connection(path.resolve().as_uri() + "?immutable=1", flags=flags)
    return connection


def patiently(turn: WriteTurn, work: Callable[[], T]) -> T:
    """Do `work` until the file is not kept locked by another process that makes or migrates it."""
    for _ in turn.tries():
        try:
            return work()
        except apsw.BusyError:
            continue
    return work()


def set_durable(connection: apsw.Connection, turn: WriteTurn) -> None:
    """Make every COMMIT durable when it returns: WAL, with an fsync of it each time."""
    for _ in turn.tries():
        try:
            mode = connection.pragma("journal_mode", "wal")
        except apsw.BusyError:
            continue
        if mode != "wal":
            raise JournalError(f"{connection.filename} can't use a write-ahead log here: SQLite stays in mode {mode}.")
        connection.pragma("synchronous", "full")
        return
    raise apsw.BusyError("the write lock was not free")


def begin(connection: apsw.Connection, turn: WriteTurn) -> None:
    """Take the write lock, trying until the patience is used up."""
    for _ in turn.tries():
        try:
            connection.execute(SQL["begin"])
        except apsw.BusyError:
            continue
        return
    raise apsw.BusyError("the write lock was not free")


def transact(
    connection: apsw.Connection, turn: WriteTurn, path: Path, doing: str, work: Callable[[apsw.Connection], T]
) -> T:
    """Commit what `work` does, or nothing of it, and return what it returns.

    An I/O error leaves open whether it happened: `CommitUnknown`. Every other error means that it did not.
    """
    with AllOrNothing(connection, path, doing):
        begin(connection, turn)
        result = work(connection)
        connection.execute(SQL["commit"])
    return result


class AllOrNothing:
    """Undoes the open transaction at any error but one of the disk, which leaves it unknown: `CommitUnknown`.

    No generator: that would be called for longer than the statements of a small transaction.
    """

    __slots__ = ("_connection", "_doing", "_path")

    def __init__(self, connection: apsw.Connection, path: Path, doing: str) -> None:
        self._connection = connection
        self._path = path
        self._doing = doing

    def __enter__(self) -> None:
        """Begin nothing: that is the caller's."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Undo what an error leaves half done, and raise it in the words of this project."""
        if error is None:
            return
        if isinstance(error, apsw.IOError):
            raise CommitUnknown(
                f"The disk gave an error at {self._path} in a transaction ({error}): it is not known whether it was"
                " committed. It is looked up when the Journal is used next."
            ) from None
        roll_back(self._connection)
        if isinstance(error, apsw.Error):
            raise told(error, self._path, self._doing) from None


def roll_back(connection: apsw.Connection) -> None:
    """Undo what the open transaction did; SQLite may have done so by itself."""
    if connection.in_transaction:
        connection.execute(SQL["roll_back"])


def release(connection: apsw.Connection) -> None:
    """Close, whatever state the file is in: SQLite may want to tidy it up, and the disk may not let it."""
    try:
        connection.close(force=True)
    except apsw.Error:
        pass
