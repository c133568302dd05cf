"""Moving a Journal from SQLite to PostgreSQL, with all that belongs to it."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from msgspec import Struct

from weftrun.adapters.files.lock import alone
from weftrun.adapters.sqlite.backup import blobs_of
from weftrun.adapters.sqlite.moving_out import MovingOut
from weftrun.adapters.system.clock import pause
from weftrun.adapters.system.entropy import SystemEntropy
from weftrun.assembly.backup import copy_trace, copy_value
from weftrun.assembly.places import Place
from weftrun.model.errors import JournalBusy, JournalCorrupt, JournalFull, UsageError


class MovedJournal(Struct, frozen=True):
    """What was moved, and to where.

    Attributes:
        journal: URL of where it is now, without a password.
        folder: where values lie now.
        runs: how many Runs, with those of which only the id is kept.
        rows: of all tables.
        values: how many values, and how many `value_bytes` they have.
    """

    journal: str
    folder: str
    runs: int
    rows: int
    values: int
    value_bytes: int


def move_journal(source: Place, target: Place, told: Callable[[int], None]) -> MovedJournal:
    """Move a Journal that no engine has open. Cut off at any moment it can be said again.

    Values go first, then all tables in one transaction, which are read again before it commits; then the file that was
    the Journal refuses to be opened. It is left as it is.

    Args:
        told: called with how many rows were moved.

    Raises:
        UsageError: one of the places is of another kind, or there is another Journal already.
        JournalBusy: an engine has one of them open.
        JournalError: one of them can't be used, or a value is missing or damaged.
    """
    if source.path is None or target.path is not None:
        raise UsageError("A Journal is moved from SQLite to PostgreSQL: give --db sqlite:///FILE --to postgresql://….")
    target.folder.mkdir(parents=True, exist_ok=True)
    with _kept_closed(source), _kept_closed(target):
        out = MovingOut(source.path, SystemEntropy(), pause)
        with contextlib.closing(out):
            try:
                values, nbytes = _bring_values(source.path, source.folder / "blobs", target.folder / "blobs")
            except OSError as error:
                raise JournalFull(f"Values can't be written to {target.folder}: {error.strerror}.") from None
            moving = importlib.import_module("weftrun.adapters.postgres.moving_in")  # late: its driver is an extra
            with moving.MovingIn(target.url, out.hash_seed) as there:
                tables = there.take(out.rows, out.numbers(), told)
            copy_trace(source.folder / "trace.db", target.folder / "trace.db")
            out.moved(target.shown)
    rows = sum(table.rows for table in tables.values())
    return MovedJournal(target.shown, str(target.folder), tables["run"].rows, rows, values, nbytes)


@contextlib.contextmanager
def _kept_closed(place: Place) -> Iterator[None]:
    """Keep engines of this host from coming."""
    with alone(place.folder) as is_alone:
        if not is_alone:
            raise JournalBusy(f"An engine has the Journal {place.shown} open: end it first, then move the Journal.")
        yield


def _bring_values(journal: Path, source: Path, target: Path) -> tuple[int, int]:
    """Copy every value that records name, if it is not there; return how many there are, and their bytes."""
    target.mkdir(parents=True, exist_ok=True)
    count = total = 0
    for name in blobs_of(journal):
        there = target / name
        if not _is_whole(there):
            passing = target / f".{name}.partial"
            try:
                copy_value(source / name, passing, name)
            except FileNotFoundError:
                raise JournalCorrupt(
                    f"The value {source / name}, which a record names, is missing: nothing was moved. Bring it back "
                    "from a copy, or delete its Run."
                ) from None
            passing.rename(there)
        count += 1
        total += there.stat().st_size
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return count, total


def _is_whole(value: Path) -> bool:
    try:
        with value.open("rb") as reader:
            return hashlib.file_digest(reader, "sha256").hexdigest() == value.name
    except FileNotFoundError:
        return False
