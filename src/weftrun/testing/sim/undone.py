"""Scripted Functions with rollbacks, and the oracle that holds R1 against the ledger."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from weftrun.model.ids import RunUid
from weftrun.model.records import AttemptStarted, Row
from weftrun.sdk.function import Function, function, workflow
from weftrun.sdk.retrying import Retry
from weftrun.testing.sim.ledger import LedgerEntry
from weftrun.testing.sim.scripted import draw, quiet
from weftrun.testing.sim.values import Value, fail, stage, weave

_NAME = "weftrun.testing.sim.undone:"


@function(name=_NAME + "undo", retries=Retry(20, delay_s=0.05, factor=1.0))
def undo(*inputs: object) -> Value:
    """Undoes an Attempt; fails every fourth time, in the middle of it."""
    if stage().nonces.bits() % 4 == 0:
        raise fail(*inputs)
    return weave(*inputs)


@function(name=_NAME + "done", rollback=undo, retries=Retry(4, delay_s=0.2))
def done(*inputs: object) -> Value:
    """Does something outside that can be undone; its first Attempt fails half the time."""
    if stage().attempt == 1 and stage().nonces.bits() % 2:
        raise fail(*inputs)
    return weave(*inputs)


@function(name=_NAME + "done_slowly", rollback=undo, timeout_s=0.5, retries=Retry(4, delay_s=0.1))
def done_slowly(*inputs: object) -> Value:
    """Overruns its time on the first Attempt."""
    stage().takes_s = 5.0 if stage().attempt == 1 else 0.01
    return weave(*inputs)


@workflow(name=_NAME + "undoing")
def undoing(x: int) -> Any:
    """Steps with rollbacks one after the other and side by side."""
    first = done(quiet(x))
    return draw(done(first), done_slowly(quiet(first)))


@workflow(name=_NAME + "undoing_watched")
async def undoing_watched(x: int) -> Any:
    """The same, made one by one."""
    first = await done.step(await quiet.step(x))
    second = await done_slowly.step(Value("", first.seen))
    return draw(second, done(Value("", second.seen)))


FUNCTIONS: tuple[Function[..., Any], ...] = (undo, done, done_slowly, undoing, undoing_watched)


def not_undone(
    entries: Iterable[LedgerEntry], rows: Mapping[RunUid, Sequence[Row]], returned: Collection[int]
) -> Iterator[str]:
    """Yield Attempts that were entered before their record, or over one that was not undone (R1).

    Args:
        entries: all of a ledger, of Runs that keep records or not.
        returned: as in the ledger.
    """
    standing: dict[tuple[RunUid, str], LedgerEntry] = {}
    for place, entry in enumerate(entries):
        key = entry.uid, str(entry.step)
        if entry.uid not in rows:
            continue
        if entry.function.rollback is None:
            if place in returned:
                standing.pop(key, None)  # the rollback itself, or of no interest
            continue
        begun = _begun(rows.get(entry.uid, ())[: entry.row], entry)
        if entry.attempt not in begun:
            yield f"{entry.step}: Attempt {entry.attempt} was entered before the record of its beginning"
        before = standing.get(key)
        if before is not None:
            yield f"{entry.step}: Attempt {entry.attempt} was entered over Attempt {before.attempt}, never undone"
        standing[key] = entry


def _begun(rows: Sequence[Row], entry: LedgerEntry) -> list[int]:
    records = [record for row in rows for record in row.records]
    return [r.attempt for r in records if isinstance(r, AttemptStarted) and r.step == entry.step]
