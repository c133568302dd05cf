"""A Journal for several Workers, in memory: the rules of O2 and C2, and nothing else.

The adapters do not have these rules yet; they come with the hosts (decision 19).
"""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.model.ids import RunUid
from weftrun.model.records import Ended, Planned, Record, Row, Stamped
from weftrun.model.share import Held, Name, Outcome


class SharedJournal:
    """Rows of one Run, in the order in which they were committed.

    Attributes:
        epoch: of the Run.
        blobs: those that are durable; `blobs_at` those that were at each row.
        names: version of each record that is durable, by its name.
        refused: appends that named another version of a durable record.
    """

    def __init__(self, uid: RunUid, first: Sequence[tuple[Record, ...]], at: float) -> None:
        """Begin with rows that one engine wrote before the Run was shared."""
        self._uid = uid
        self.epoch = 1
        self.rows: list[Row] = []
        self.blobs: set[str] = set()
        self.blobs_at: list[frozenset[str]] = []
        self.names: dict[Name, tuple[int, int, int]] = {}
        self.refused = 0
        self.ended = False
        for records in first:
            self._write(at, records)

    def append(self, at: float, epoch: int, held: Sequence[Held]) -> Outcome:
        """Commit records, each in a row of its own, or none of them."""
        if epoch != self.epoch or self.ended:
            return Outcome.STALE
        if any(self.names.get(one.name, one.stamp) != one.stamp for one in held):
            self.refused += 1
            return Outcome.REFUSED
        for one in held:
            if one.name not in self.names:
                self.names[one.name] = one.stamp
                self._write(at, (Stamped(one.epoch, one.worker), one.record))
        return Outcome.COMMITTED

    def raise_epoch(self, at: float, epoch: int, planned: Planned) -> Outcome:
        """Raise the epoch by one, with a plan; one that is there already, word by word, is passed over."""
        if epoch == self.epoch and planned in self._plans():
            return Outcome.COMMITTED
        if epoch != self.epoch + 1 or self.ended:
            return Outcome.STALE
        self.epoch = epoch
        self._write(at, (planned,))
        return Outcome.COMMITTED

    def claim(self) -> int:
        """Take the Run over: nobody else may append under the epoch that is returned, or an older one."""
        self.epoch += 1
        return self.epoch

    def _plans(self) -> list[Record]:
        return [record for row in self.rows if row.epoch == self.epoch for record in row.records]

    def _write(self, at: float, records: tuple[Record, ...]) -> None:
        self.rows.append(Row(self._uid, len(self.rows) + 1, at, self.epoch, records))
        self.blobs_at.append(frozenset(self.blobs))
        self.ended |= isinstance(records[-1], Ended)
