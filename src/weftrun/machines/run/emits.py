"""Emits in the machine of a Run: they ride in the record of the outcome that they belong to (E1)."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.machines.run.state import RunState
from weftrun.model.emits import emits_of
from weftrun.model.events import ItemsEnded
from weftrun.model.ids import StepId, item_step
from weftrun.model.outcomes import Failure, Reason


def cannot_emit(run: RunState, origin: StepId, attempt: int) -> Failure:
    """Return why a Step of a Run without records may not emit."""
    text = (
        f"{origin} of {run.started.id} called current().emit(...), but the Run was started with durable=False: it "
        "keeps no records, from which alone emits are delivered. Leave durable=False out."
    )
    return Failure(Reason.MISUSE, "weftrun.UsageError", text, origin=origin, attempt=attempt)


def refuse_items(run: RunState, map: StepId, event: ItemsEnded) -> ItemsEnded:
    """Return an event of a Run without records in which items that have emitted, and their neighbours, have failed."""
    bad = [(lo, hi) for lo, hi, _ in event.values if emits_of(((lo, hi, None),), event.emits)]
    failures = tuple(
        (item, cannot_emit(run, item_step(map, item), event.attempt)) for lo, hi in bad for item in range(lo, hi)
    )
    kept = tuple(part for part in event.values if (part[0], part[1]) not in bad)
    return replace(event, values=kept, failures=(*event.failures, *failures), emits=())
