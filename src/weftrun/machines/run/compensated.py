"""What a Run did since something had failed: a retry takes the failure back, and what was done about it stands (L1)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Kind
from weftrun.model.records import ItemsSettled, Observed, Record, Retried, Row, Settled, Undoing


def done_after_failure(rows: Sequence[Row]) -> list[tuple[StepId, str, StepId]]:
    """Return the Steps of async bodies that succeeded in the current life after their body was told of a failure.

    As (the Step, its Function's name, the Step that had failed), in order. Such Steps often undo what was done before.
    """
    failed: dict[StepId, tuple[int, StepId]] = {}
    undoing: dict[StepId, int] = {}
    found: list[tuple[StepId, str, StepId]] = []
    for row in rows:
        for record in row.records:
            if isinstance(record, Retried):
                failed, undoing, found = {}, {}, []
            elif isinstance(record, Undoing):
                undoing[record.step] = record.made
            for step, call, ordinal, has_failed in _settled(record):
                if has_failed:
                    failed.setdefault(call.body, (ordinal, step))
                    continue
                if call.number >= undoing.get(call.body, call.number + 1):
                    found.append((step, call.function, call.body))
                    continue
                first = failed.get(call.body)
                if first is not None and call.observed >= first[0] and call.kind is Kind.FUNCTION:
                    found.append((step, call.function, first[1]))
    return found


def _settled(record: Record) -> Iterator[tuple[StepId, Observed, int, bool]]:
    match record:
        case Settled():
            for outcome in record.outcomes:
                if outcome.call is not None and outcome.cause != "kept":
                    yield outcome.step, outcome.call, outcome.ordinal, isinstance(outcome.outcome, Failure)
        case ItemsSettled() if record.call is not None:
            yield record.step, record.call, record.ordinal, bool(record.failures)
        case _:
            pass
