"""What of a Journal is moved from one database to another: its tables, and a digest of what is in them.

Sessions, who owns what, and shares of limits are of engines that are open, and stay behind.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from msgspec import Struct

Value = str | int | float | bytes | None
Columns = tuple[Value, ...]
"""One row of a table, in types that all databases have."""

TABLES: Final = ("run", "record", "inbox", "outbox", "schedule", "queue_row", "queue_entry")
"""In the order in which they are moved. Messages go before what waits in queues: a cancel that comes takes its Run out
of its queue, and has done so here. The statements of each database give the same columns, in the same order."""


class TableDigest(Struct, frozen=True):
    """How many rows a table has, and the digest of all of them."""

    rows: int
    sha256: str


class Digesting:
    """Counts rows on their way and makes a digest of them."""

    def __init__(self) -> None:
        self._rows = 0
        self._hasher = hashlib.sha256()
        self._encode = msgspec.msgpack.Encoder().encode

    def of(self, rows: Iterable[Iterable[object]]) -> Iterator[Columns]:
        """Hand rows on, in types that all databases have."""
        for row in rows:
            columns = tuple(map(_plain, row))
            self._hasher.update(self._encode(columns))
            self._rows += 1
            yield columns

    @property
    def digest(self) -> TableDigest:
        """Of all rows so far."""
        return TableDigest(self._rows, self._hasher.hexdigest())


def _plain(value: object) -> Value:
    match value:
        case bool():
            return int(value)
        case memoryview() | bytearray():
            return bytes(value)
        case None | str() | int() | float() | bytes():
            return value
    raise TypeError(f"a column of {type(value)}")
