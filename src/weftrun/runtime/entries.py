"""Rows on their way to the Journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weftrun.model.errors import WeftrunError
from weftrun.model.ids import ObjectId
from weftrun.model.records import Row
from weftrun.model.values import Blob, Data, Object
from weftrun.ports.journal import Appended
from weftrun.runtime.durable import change_row

Done = Callable[[int], None]


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
    """A row on its way. `blobs` are kept here: the Run may let an Object go before its row is durable."""

    __slots__ = ("blobs", "done", "lost", "missing", "row", "taken", "through")

    def __init__(
        self,
        row: Row,
        done: Done,
        taken: Callable[[], None],
        lost: Callable[[], None],
        through: Through | None,
    ) -> None:
        self.row = row
        self.blobs: dict[ObjectId, Blob] = {}
        self.done = done
        self.taken = taken
        self.lost = lost
        self.missing: set[ObjectId] = set()
        self.through = through


def durable(entry: Entry) -> Row:
    """Return the row with blobs for Objects: their bytes are durable, or the row would be held back."""

    def change(data: Data) -> Data:
        return entry.blobs[data.oid] if type(data) is Object else data

    return change_row(entry.row, change)
