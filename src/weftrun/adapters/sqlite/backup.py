"""Copying a Journal's file while engines write to it, by SQLite's online backup."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import apsw

from weftrun.adapters.sql.rows import blobs_in
from weftrun.adapters.sqlite import connection as connections
from weftrun.adapters.sqlite import schema
from weftrun.adapters.sqlite.connection import translated
from weftrun.adapters.sqlite.statements import SQL
from weftrun.model.errors import JournalCorrupt

_PAGES = 2_000


def copy_database(source: Path, target: Path, told: Callable[[int, int], None]) -> None:
    """Copy a Journal as it is at one moment into a new file, which nobody owns a Run or a sink of; it is durable then.

    Writers are not kept waiting: they go on behind the moment that is copied.

    Args:
        told: called with how many pages are copied, and of how many.

    Raises:
        JournalError: one of the files can't be used, or the source is damaged.
    """
    with translated(source, "copying it"):
        reader = connections.open_reader(source)
        try:
            schema.require_current(reader, source)
            reader.execute(SQL["begin_reading"])
            schema.hash_seed_of(reader, source)  # from here on it is seen as it is now
            with translated(target, "writing the copy"):
                _copy(reader, target, told)
        finally:
            connections.release(reader)
    _sync(target)
    _sync(target.parent)


def check_journal(path: Path) -> None:
    """Refuse a file that is no Journal which can be copied.

    Raises:
        JournalError: it can't be used, or is none.
    """
    with translated(path, "copying it"):
        reader = connections.open_reader(path)
        try:
            schema.require_current(reader, path)
        finally:
            connections.release(reader)


def _copy(reader: apsw.Connection, target: Path, told: Callable[[int, int], None]) -> None:
    writer = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
    try:
        with writer.backup("main", reader, "main") as copying:
            while not copying.step(_PAGES):
                told(copying.page_count - copying.remaining, copying.page_count)
            told(copying.page_count, copying.page_count)
        writer.pragma("journal_mode", "delete")  # one file, for whoever takes it elsewhere
        writer.execute(SQL["own_nothing"])
        if (found := writer.pragma("quick_check")) != "ok":
            raise JournalCorrupt(f"The copy {target} is damaged: {found}. Copy the Journal again.")
    finally:
        writer.close(force=True)


def blobs_of(path: Path) -> Iterator[str]:
    """Yield the SHA-256 of every value that records of a Journal name, each once."""
    with translated(path, "reading"):
        reader = connections.open_reader(path)
        try:
            seen: set[str] = set()
            for (body,) in reader.execute(SQL["bodies"]):
                if isinstance(body, bytes):
                    for name in blobs_in(body):
                        if name not in seen:
                            seen.add(name)
                            yield name
        finally:
            connections.release(reader)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
