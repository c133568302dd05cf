"""When a Run passed from one engine to another."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from weftrun.model.records import Retried, Row
from weftrun.views.trace import Traced, number


class Handover(Struct, frozen=True):
    """An engine has the Run from here on.

    Attributes:
        at: when it took it, or else its first record, in seconds since the epoch.
        epoch: of the Run from then on.
        waited: whether the Run had been suspended while it only waited.
        put_back: whether the engine before was closed in good order and put the Run back. With neither, it was gone.
        before_at: the last that is known of the engine before, in seconds since the epoch.
        engine: which one it is, in words; empty where nothing tells.
    """

    at: float
    epoch: int
    waited: bool
    put_back: bool
    before_at: float
    engine: str = ""

    @property
    def is_takeover(self) -> bool:
        """Whether the Run was taken from an engine that was gone."""
        return not self.waited and not self.put_back


def handovers(rows: Sequence[Row], trace: Sequence[Traced]) -> list[Handover]:
    """Return each time that an engine took a Run that another one had begun, in order."""
    at = {row.epoch: row.at for row in reversed(rows)}
    first = min(at, default=0)
    notes = {int(number(row, "epoch")): row for row in trace if row.kind == "note" and "epoch" in row.facts}
    at |= {epoch: row.at for epoch, row in notes.items()}
    retried = {row.epoch for row in rows if isinstance(row.records[0], Retried)}  # by whoever has asked for it
    found = []
    begun_at = rows[0].at if rows else 0.0
    for epoch in sorted(epoch for epoch in at if epoch > first and epoch not in retried):
        now = at[epoch]
        facts = notes[epoch].facts if epoch in notes else {}
        known = [row.at for row in rows if row.epoch < epoch and row.at <= now]
        known += [row.at for row in trace if row.at < now and row is not notes.get(epoch)]
        put_back = any(row.kind == "note" and "left" in row.facts and begun_at <= row.at <= now for row in trace)
        engine = str(facts.get("engine", ""))
        found.append(Handover(now, epoch, bool(facts.get("waited")), put_back, max(known, default=now), engine))
        begun_at = now
    return found


def takeovers(epoch: int, trace: Sequence[Traced]) -> int:
    """Return how often a Run of this epoch was taken from an engine that was gone, without a look at its records."""
    others, put_back = 0, False
    for row in trace:
        if row.kind == "note" and "left" in row.facts:
            put_back = True
        elif row.kind == "note" and number(row, "epoch") > 1:
            others += bool(row.facts.get("waited")) or put_back
            put_back = False
    return max(0, epoch - 1 - others)
