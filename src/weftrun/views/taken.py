"""What the Steps of a Run took: how long their bodies were in, and how large their values are."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Success
from weftrun.model.placement import Expected
from weftrun.model.records import Row, Settled
from weftrun.model.values import size_of


def taken(rows: Sequence[Row]) -> dict[str, Expected]:
    """Return by label the means of all Steps that have run and succeeded, as the records tell it."""
    seen: dict[str, list[tuple[float, int]]] = {}
    for row in rows:
        for record in row.records:
            for done in record.outcomes if isinstance(record, Settled) else ():
                if isinstance(done.outcome, Success) and done.ran.left_at:
                    took = max(0.0, done.ran.left_at - done.ran.entered_at), size_of(done.outcome.value.data)
                    seen.setdefault(label_of(done.step), []).append(took)
    return {
        label: Expected(sum(s for s, _ in each) / len(each), sum(n for _, n in each) / len(each))
        for label, each in seen.items()
    }


def label_of(step: StepId) -> str:
    """Return the label of the Function that a Step calls."""
    return step.rpartition("/")[2].rpartition("[")[0]
