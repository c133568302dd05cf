"""What the newest records of a Run say of its Steps: cheap to tell, however long the Run is.

It is no fold: what follows from other records, such as that a Step may go now, is left to those who look at it all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Reason, Status
from weftrun.model.records import ItemsSettled, Row, Settled, StepOutcome
from weftrun.views.step import error_line, length_s


class StepPulse(Struct, frozen=True):
    """A Step as a record has just told of it.

    Attributes:
        status: how it settled; `running` of a map of which items have settled.
        preview: of its value.
        error: type and message of its failure.
        items: of a map, how many settled with this record; 0 for others.
    """

    step: StepId
    status: Status
    attempts: int
    body_s: float
    preview: str
    error: str
    items: int = 0


def step_pulses(rows: Sequence[Row]) -> Iterator[StepPulse]:
    """Yield what records tell of Steps that settled, in their order."""
    for row in rows:
        for record in row.records:
            match record:
                case Settled():
                    yield from map(_settled, record.outcomes)
                case ItemsSettled():
                    done = sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
                    error = error_line(record.failures[0].failure) if record.failures else ""
                    yield StepPulse(record.step, "running", 1, length_s(record.ran), record.ran.preview, error, done)
                case _:
                    pass


def _settled(done: StepOutcome) -> StepPulse:
    failure = done.outcome if isinstance(done.outcome, Failure) else None
    status: Status = "succeeded"
    if failure is not None:
        status = "cancelled" if failure.reason is Reason.CANCELLED else "failed"
    return StepPulse(done.step, status, done.attempt, length_s(done.ran), done.ran.preview, error_line(failure))
