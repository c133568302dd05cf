"""Successes without a record (C3), as the trace tells of them; what has a record after all is passed over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import ItemsSettled, Row, Settled
from weftrun.views.trace import Traced, number


class Unrecorded(Struct, frozen=True, gc=False):
    """One Attempt, or one Batch of a map's items, that succeeded and has no record.

    Attributes:
        at: when that was decided, in seconds since the epoch.
        nbytes: encoded size of what was not written, in bytes.
        items: how many items of a map; 0 for a Step.
        why: end of a sentence.
    """

    at: float
    step: StepId
    attempt: int
    ran: Ran
    nbytes: int
    items: int
    why: str


def unrecorded(rows: Sequence[Row], trace: Sequence[Traced]) -> list[Unrecorded]:
    """Return what the trace knows of successes without a record, in order."""
    told = [_of(row) for row in trace if row.kind == "unrecorded"]
    recorded = set(_recorded(rows)) if told else set()
    return [left for left in told if (left.step, left.ran.sandbox, left.ran.entered_at) not in recorded]


def reason(spec: FunctionSpec) -> str:
    """Return in a word or two why a Step of a Function has no record."""
    return "deterministic" if spec.deterministic else 'checkpoint="none"'


def _of(row: Traced) -> Unrecorded:
    preview = str(row.facts.get("preview", ""))
    ran = Ran(int(number(row, "sandbox")), number(row, "entered"), number(row, "left"), preview)
    return Unrecorded(
        row.at, row.step, row.attempt, ran, int(number(row, "bytes")), int(number(row, "items")), row.text
    )


def _recorded(rows: Sequence[Row]) -> Iterator[tuple[StepId, int, float]]:
    for row in rows:
        for record in row.records:
            match record:
                case Settled():
                    yield from ((done.step, done.ran.sandbox, done.ran.entered_at) for done in record.outcomes)
                case ItemsSettled():
                    yield record.step, record.ran.sandbox, record.ran.entered_at
                case _:
                    pass
