"""What `checkpoint="auto"` chose for the values of each Function, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftrun.machines.checkpoint import When, choice
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.policy import Kind
from weftrun.model.records import Ended, ItemsSettled, Row, Settled
from weftrun.model.values import Data, Inline
from weftrun.views.calls import Calls
from weftrun.views.told import Told
from weftrun.views.trace import Traced
from weftrun.views.units import count_of, size
from weftrun.views.unrecorded import unrecorded


def checkpoints(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Told]:
    """Yield for each Function what `auto` chose for the record of its values, and why, once the Run is over."""
    if not rows or not isinstance(rows[-1].records[-1], Ended):
        return
    calls = Calls.of(rows)
    sums: dict[tuple[str, str, str], list[int]] = {}

    def count(step: StepId, was: str, why: str, values: int, nbytes: int) -> None:
        call = calls.by_step.get(step)
        if call is not None and call.spec is not None and call.spec.checkpoint == "auto":
            so_far = sums.setdefault((call.label, was, why), [0, 0])
            so_far[0] += values
            so_far[1] += nbytes

    for row in rows:
        for record in row.records:
            for step, data, ran, emitted in _values(record):
                spec = calls.by_step[step].spec if step in calls.by_step else None
                if spec is not None and spec.kind is Kind.FUNCTION:
                    chosen = choice(spec, data, ran, emitted=emitted)
                    why = "something rested on it" if chosen.when >= When.LATER else chosen.why
                    nbytes = sum(len(d.data) if isinstance(d, Inline) else d.nbytes for d in data)
                    count(step, "written behind", why, len(data), nbytes)
    for left in unrecorded(rows, trace):
        count(left.step, "not written", left.why, 1, left.nbytes)
    for (label, was, why), (values, nbytes) in sums.items():
        what = f"{count_of(values, 'value')} ({size(nbytes)}) {'was' if values == 1 else 'were'} {was}"
        text = f'checkpoint="auto" of {label}: {what}, because {why}.'
        yield Told(rows[-1].at, StepId(""), text)


def _values(record: object) -> Iterator[tuple[StepId, tuple[Data, ...], Ran, bool]]:
    """Yield the values that a record holds, of a Step each or of items of a map together, and whether it emitted."""
    match record:
        case Settled():
            for done in record.outcomes:
                if not isinstance(done.outcome, Failure):
                    yield done.step, (done.outcome.value.data,), done.ran, bool(done.emits)
        case ItemsSettled() if record.values:
            yield record.step, tuple(payload.data for _, _, payload in record.values), record.ran, bool(record.emits)
        case _:
            pass
