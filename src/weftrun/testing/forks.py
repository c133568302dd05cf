"""What a fork may have of the Run that it was forked from, judged from the rows of both alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from weftrun.model.ids import StepId
from weftrun.model.records import ForkedFrom, ItemsSettled, Observed, Row, Settled, StepOutcome

_LIFE = re.compile(r"~\d+(?=\[)")


def forked_from(rows: Sequence[Row]) -> ForkedFrom | None:
    """Return how a Run was forked; None for one that was started."""
    return next((record for record in rows[0].records if isinstance(record, ForkedFrom)), None) if rows else None


def copied_rows(rows: Sequence[Row]) -> int:
    """Return how many rows at the beginning of a Run its own machine has not written; of one that is no fork, none."""
    forked = forked_from(rows)
    return 1 + forked.rows if forked is not None else 0


def fork_faults(rows: Sequence[Row], source: Sequence[Row]) -> Iterator[tuple[int, StepId, str]]:
    """Yield what is wrong with the copied rows of a fork, as (row, Step, what)."""
    forked = forked_from(rows)
    if forked is None:
        return
    there = {plain(done.step): done for done in _outcomes(source)}
    copied = rows[1 : 1 + forked.rows]
    numbers = {(call.body, call.number) for call in _calls(copied)}
    for row in copied:
        for done in _outcomes((row,)):
            before = there.get(done.step)
            if before is None or before.outcome != done.outcome:
                yield row.seq, done.step, "it was given another outcome than it had"
            if done.emits:
                yield row.seq, done.step, "it emits again what it had emitted"
        for step in [done.step for done in _outcomes((row,))] + [step for step, _ in _items((row,))]:
            if step == forked.step or step.startswith(f"{forked.step}/"):
                yield row.seq, step, "the fork was to begin there, and it was copied"
            if forked.step.startswith(f"{step}/"):
                yield row.seq, step, "its body is to be entered again, and it was copied as settled"
        for call in _calls((row,)):
            for ref in call.refs:
                if (call.body, ref.call) not in numbers:
                    yield row.seq, call.body, f"call {call.number} was copied without call {ref.call}, which it takes"


def plain(step: StepId) -> StepId:
    """Return the name of a Step without the numbers of lives: a fork is in its first one."""
    return StepId(_LIFE.sub("", step)) if "~" in step else step


def _outcomes(rows: Sequence[Row]) -> list[StepOutcome]:
    return [done for row in rows for record in row.records if isinstance(record, Settled) for done in record.outcomes]


def _items(rows: Sequence[Row]) -> list[tuple[StepId, ItemsSettled]]:
    return [(r.step, r) for row in rows for r in row.records if isinstance(r, ItemsSettled)]


def _calls(rows: Sequence[Row]) -> list[Observed]:
    found = [done.call for done in _outcomes(rows)] + [settled.call for _, settled in _items(rows)]
    return [call for call in found if call is not None]
