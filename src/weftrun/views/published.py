"""What a Run has published."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Success
from weftrun.model.policy import PUBLISHED
from weftrun.model.records import Ended, Row, Settled
from weftrun.model.values import Data


def published(rows: Sequence[Row], name: str) -> list[Data]:
    """Return the encoded values of the events of one name that are on record, in the order in which they settled."""
    found: dict[StepId, Data] = {}
    for record in (record for row in rows for record in row.records if isinstance(record, Settled)):
        for outcome in record.outcomes:
            is_it = outcome.call is not None and outcome.call.function == PUBLISHED + name
            if is_it and isinstance(outcome.outcome, Success):
                found.setdefault(outcome.step, outcome.outcome.value.data)
    return list(found.values())


def is_over(rows: Sequence[Row]) -> bool:
    """Say whether a Run has ended."""
    return bool(rows) and isinstance(rows[-1].records[-1], Ended)
