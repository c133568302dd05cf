"""Rows on their way to the Journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import ObjectId
from weftrun.model.records import Row
from weftrun.model.values import Blob, Data, Object
from weftrun.model.visiting import change_data
from weftrun.ports.journal import Appended
from weftrun.runtime.runs import OpenRun


class Through(Protocol):
    """An author's transaction, through which a row is committed."""

    def commit(self, rows: Sequence[Row], *, renew: bool) -> Appended:
        """Append rows and commit them with what was said. Outside the loop, in `lane`."""

    @property
    def lane(self) -> str:
        """The lane in which it is used."""

    def undo(self) -> None:
        """Its row is not to be committed any more."""

    def over(self, error: WeftrunError | None) -> None:
        """It has ended: with its commit, or, where that is not known or did not happen, with an error."""


class Entry:
    """A row on its way. `blobs` are kept here: the Run may release an Object before its row is durable."""

    __slots__ = ("blobs", "missing", "row", "run", "through")

    def __init__(self, row: Row, run: OpenRun, through: Through | None) -> None:
        self.row = row
        self.run = run
        self.blobs: dict[ObjectId, Blob] = {}
        self.missing: set[ObjectId] = set()
        self.through = through


def durable(entry: Entry) -> Row:
    """Return the row with blobs for Objects: their bytes are durable, or the row would be held back."""

    def change(data: Data) -> Data:
        return entry.blobs[data.oid] if type(data) is Object else data

    return change_data(entry.row, change)
