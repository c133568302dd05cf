"""Whether what no Sandbox ever had was lost with a Worker all the same (W9)."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence

from weftrun.model.ids import RunUid, StepId, item_step
from weftrun.model.messages import Batch, ItemBatch
from weftrun.model.outcomes import Failure
from weftrun.model.records import AttemptFailed, ItemsSettled, Record, Row, Settled
from weftrun.testing.sim.ledger import AttemptOf


def attempts_in(batch: Batch | ItemBatch) -> Iterator[AttemptOf]:
    """Yield the Attempts in a Batch, of Steps and of items of maps."""
    if isinstance(batch, ItemBatch):
        for index in (index for lo, hi in batch.ranges for index in range(lo, hi)):
            yield batch.run[1], item_step(batch.id, index), batch.attempt
    else:
        for item in batch.items:
            yield batch.runs[item.run][1], item.id, item.attempt


def lost_unentered(rows_by_run: Mapping[RunUid, Sequence[Row]], handed: Container[AttemptOf]) -> Iterator[str]:
    """Yield Attempts that are on record as lost with their Worker, and that no Sandbox was ever given."""
    for uid, rows in rows_by_run.items():
        for step, failure in (lost for row in rows for record in row.records for lost in _failures(record)):
            if failure.type == "WorkerLost" and (uid, step, failure.attempt) not in handed:
                yield f"Attempt {failure.attempt} of {step} was lost with its Worker, but no Sandbox ever had it"


def _failures(record: Record) -> Iterator[tuple[StepId, Failure]]:
    """Yield the failures of Attempts that a record tells of, each with the Step, or the item of a map."""
    match record:
        case AttemptFailed():
            step = item_step(record.step, record.item) if record.item >= 0 else record.step
            yield step, record.failure
        case Settled():
            for outcome in record.outcomes:
                if isinstance(outcome.outcome, Failure) and outcome.outcome.origin == outcome.step:
                    yield outcome.step, outcome.outcome
        case ItemsSettled():
            for failed in record.failures:
                yield item_step(record.step, failed.index), failed.failure
        case _:
            pass
