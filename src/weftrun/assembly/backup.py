"""Copies of a Journal in SQLite with all that belongs to it: each copy is a Journal itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from weftrun.adapters.files.lock import not_alone
from weftrun.adapters.sqlite.backup import blobs_of, check_journal, copy_database
from weftrun.assembly.places import Place, place_of
from weftrun.model.errors import JournalCorrupt, JournalError, JournalFull, JournalMissing, UsageError

_CHUNK_BYTES = 1024 * 1024


class Copied(Struct, frozen=True):
    """A copy of a Journal: where it is, how large its file is, and which values lie beside it.

    Attributes:
        missing: how many values that records name were not there to be copied.
    """

    file: str
    nbytes: int
    values: int
    value_bytes: int
    missing: int


def copy_journal(source: Place, target: Path, told: Callable[[int, int], None]) -> Copied:
    """Copy a Journal, which engines may have open, with the values beside it and its trace.

    Args:
        target: file of the copy, which must not be there; values lie beside it, in the folder FILE.d.
        told: called with how many pages are copied, and of how many.

    Raises:
        UsageError: the source is not in SQLite, or the target is there.
        JournalError: one of them can't be used, or a value is missing or damaged.
    """
    if source.path is None:
        raise UsageError(
            f"{source.shown} is a Journal in PostgreSQL: copy the database by pg_dump, and then its values, the folder "
            f"{source.folder}."
        )
    if source.is_missing:
        raise JournalMissing(f"There is no Journal at {source.path}, so there is nothing to copy.")
    target = target.absolute()
    copy = place_of(f"sqlite:///{target}")
    if target.exists() or copy.folder.exists():
        raise UsageError(f"{target if target.exists() else copy.folder} is there already: name another file.")
    if not target.parent.is_dir():
        raise UsageError(f"There is no folder {target.parent} for {target.name}: make it, or name another file.")
    check_journal(source.path)  # before anything is made beside it
    passing = target.with_name(f".{target.name}.partial")
    passing.unlink(missing_ok=True)
    try:
        with not_alone(source.folder):
            copy_database(source.path, passing, told)
            values, nbytes, missing = _copy_values(source.folder / "blobs", copy.folder / "blobs", passing)
        copy_trace(source.folder / "trace.db", copy.folder / "trace.db")
        passing.rename(target)
    except OSError as error:
        raise JournalFull(f"The copy {target} can't be written: {error.strerror}.") from None
    finally:
        passing.unlink(missing_ok=True)
        if not target.exists():
            shutil.rmtree(copy.folder, ignore_errors=True)
    return Copied(str(target), target.stat().st_size, values, nbytes, missing)


def _copy_values(source: Path, target: Path, journal: Path) -> tuple[int, int, int]:
    """Copy every value that records name; return how many, their bytes, and how many are missing."""
    target.mkdir(parents=True)
    count = total = missing = 0
    for name in blobs_of(journal):
        try:
            nbytes = copy_value(source / name, target / name, name)
        except FileNotFoundError:
            missing += 1  # told, not refused: a copy of what is left is worth more than none
            continue
        count += 1
        total += nbytes
    descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return count, total, missing


def copy_value(source: Path, target: Path, name: str) -> int:
    """Copy the value with this SHA-256; return its bytes, which are durable then."""
    digest = hashlib.sha256()
    nbytes = 0
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            digest.update(chunk)
            writer.write(chunk)
            nbytes += len(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    if digest.hexdigest() != name:
        raise JournalCorrupt(f"The value {source} is damaged: take it from another copy.")
    return nbytes


def copy_trace(source: Path, target: Path) -> None:
    """Copy what is told for people only, if it is there: nothing rests on it."""
    with contextlib.suppress(OSError, JournalError):
        if source.exists():
            shutil.copyfile(source, target)
