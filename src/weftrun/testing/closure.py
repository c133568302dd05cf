"""Whether the records of Runs are closed (SEMANTICS: C1, C2 and the order of records), judged from the rows alone.

A pure function of what the Journal holds; it knows nothing of the machines that wrote it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from weftrun.model.ids import RunUid, StepId
from weftrun.model.outcomes import Failure
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import (
    AttemptFailed,
    AttemptStarted,
    Chunked,
    Ended,
    Graphed,
    ItemsSettled,
    Retried,
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
    Unfit,
)
from weftrun.model.values import Blob, Object
from weftrun.testing.ancestors import Ancestors
from weftrun.testing.forks import copied_rows, fork_faults, forked_from


class Violation(Struct, frozen=True):
    """A rule that the rows of a Run break.

    Attributes:
        rule: `C1`, `C2`, `order` (of rows, ordinals, first and last records), `single` (one outcome per Step), `R1`,
            `L1` (what a later life takes back and keeps), or `L3` (what a fork has of another Run).
        seq: the row.
        step: the Step it is about; empty where it is about the row.
    """

    rule: str
    run: RunUid
    seq: int
    step: StepId
    text: str

    def __str__(self) -> str:
        """Return the violation as one line."""
        return f"{self.rule}: run {self.run[:8]} row {self.seq} {self.step}: {self.text}"


def closure_violations(
    rows_by_run: Mapping[RunUid, Sequence[Row]],
    blobs_at: Mapping[RunUid, Sequence[Collection[str]]] | None = None,
    functions: Mapping[str, FunctionSpec] | None = None,
) -> list[Violation]:
    """Return every rule of closure that these rows break.

    Args:
        rows_by_run: all rows of each Run, in the order of the Journal.
        blobs_at: for each row of each Run, the SHA-256 of the blobs that were durable when it committed (C2); without
            it only Objects in records are looked for.
        functions: those that are known, by name. No record tells the policy of an `async` body's call that has ended:
            of a map that is recorded in part, whose Function is not known, the rest counts as left out.
    """
    found: list[Violation] = []
    for uid, rows in rows_by_run.items():
        found += _Fold(uid).judge(rows, functions or {})
        forked = forked_from(rows)
        if forked is not None and forked.uid in rows_by_run:
            faults = fork_faults(rows, rows_by_run[forked.uid])
            found += [Violation("L3", uid, seq, step, text) for seq, step, text in faults]
        found += _bytes_violations(uid, rows, blobs_at.get(uid) if blobs_at is not None else None)
    return found


class _Fold:
    """What has been recorded so far of one Run, and what was wrong with it."""

    def __init__(self, uid: RunUid) -> None:
        self._uid = uid
        self._found: list[Violation] = []
        self._seq = 0
        self._epoch = 0
        self._ordinal = 0
        self._settled: set[StepId] = set()
        self._items: dict[StepId, set[int]] = {}
        self._attempts: dict[tuple[StepId, int], int] = {}
        self._chunks: dict[tuple[StepId, int], tuple[int, bool]] = {}
        self._graphs: set[StepId] = set()
        self._outcomes: dict[StepId, StepOutcome] = {}
        self._failed_items: dict[StepId, dict[int, int]] = {}
        self._life = 1
        self._may_begin = False
        self._ended: Ended | None = None
        self._copied: set[StepId] = set()

    def judge(self, rows: Sequence[Row], functions: Mapping[str, FunctionSpec]) -> list[Violation]:
        """Return what is wrong with the rows of the Run."""
        for position, row in enumerate(rows):
            last = position + 1 == len(rows) or _begins_life(rows[position + 1])
            self._check_row(position, row, last=last)
            for record in row.records:
                self._check_record(record)
            if row.seq == copied_rows(rows):
                self._copied = set(self._items)
        for lo, hi in _lives(rows):
            own = max(lo, copied_rows(rows))  # what a fork has copied was judged where it was settled
            for seq, step, text in Ancestors(rows[:hi], functions).missing(rows[own:hi]):
                self._found.append(Violation("C1", self._uid, seq, step, text))
        return self._found

    def _add(self, rule: str, text: str, step: StepId = StepId("")) -> None:
        self._found.append(Violation(rule, self._uid, self._seq, step, text))

    def _check_row(self, position: int, row: Row, *, last: bool) -> None:
        self._seq = row.seq
        if row.uid != self._uid:
            self._add("order", f"the row is of another Run, {row.uid}")
        if row.seq != position + 1:
            self._add("order", f"row {position + 1} is missing or out of order")
        if row.epoch < self._epoch:
            self._add("order", f"epoch {row.epoch} comes after {self._epoch}")
        self._epoch = max(self._epoch, row.epoch)
        starts = [i for i, record in enumerate(row.records) if isinstance(record, Started)]
        ends = [i for i, record in enumerate(row.records) if isinstance(record, Ended)]
        if starts != ([0] if position == 0 else []):
            self._add("order", "the start record is not the first one, or not the only one")
        if ends and (ends != [len(row.records) - 1] or not last):
            self._add("order", "a record follows the last one")

    def _check_record(self, record: object) -> None:
        match record:
            case Settled():
                for outcome in record.outcomes:
                    self._check_outcome(outcome)
            case ItemsSettled():
                self._check_items(record)
            case Chunked():
                self._check_chunk(record)
            case Graphed():
                self._graphs.add(record.step)
            case AttemptFailed():
                self._check_attempt(record)
            case AttemptStarted() | RollbackFailed() if record.step in self._settled:
                self._add("R1", "an Attempt began, or was undone in vain, after the Step was settled", record.step)
            case Retried():
                self._begin_life(record)
            case Ended():
                self._ended = record
            case _:
                pass
        self._may_begin = isinstance(record, Unfit) or (isinstance(record, Ended) and record.status != "succeeded")

    def _begin_life(self, record: Retried) -> None:
        """Take back what failed, but inside what succeeded; numbers of Attempts go on (L1)."""
        if record.life != self._life + 1:
            self._add("L1", f"life {record.life} comes after life {self._life}")
        if not self._may_begin:
            self._add("L1", f"life {record.life} begins though nothing had failed")
        self._life = record.life
        free = [outcome for outcome in self._outcomes.values() if not self._is_inside(outcome.step)]
        blamed = {o.outcome.origin for o in free if isinstance(o.outcome, Failure)}
        blamed |= {self._ended.failure.origin} if self._ended is not None and self._ended.failure is not None else set()
        failed = [o for o in free if isinstance(o.outcome, Failure) or (o.cause == "signal" and o.step in blamed)]
        for outcome in failed:
            del self._outcomes[outcome.step]
            self._settled.discard(outcome.step)
            if not outcome.cause and outcome.step not in self._graphs:  # a body that has ended is never entered again
                self._attempts[outcome.step, -1] = max(outcome.attempt, self._attempts.get((outcome.step, -1), 0))
        for step, items in self._failed_items.items():
            if not self._is_inside(step):
                self._items[step] -= items.keys()
                self._attempts |= {(step, item): attempt for item, attempt in items.items()}
                items.clear()

    def _is_inside(self, step: StepId) -> bool:
        """Say whether a Step is inside of one that succeeded."""
        around = step.split("/")[:-1]
        bodies = (self._outcomes.get(StepId("/".join(around[: n + 1]))) for n in range(len(around)))
        return any(body is not None and not isinstance(body.outcome, Failure) for body in bodies)

    def _check_ordinal(self, ordinal: int, step: StepId) -> None:
        if ordinal <= self._ordinal:
            self._add("order", f"ordinal {ordinal} comes after {self._ordinal}", step)
        self._ordinal = max(self._ordinal, ordinal)

    def _check_outcome(self, outcome: StepOutcome) -> None:
        self._check_ordinal(outcome.ordinal, outcome.step)
        before = self._outcomes.get(outcome.step)
        if outcome.cause == "kept":
            if before is None or isinstance(before.outcome, Failure) or before.outcome != outcome.outcome:
                self._add("L1", "it was given another success than it had", outcome.step)
            if outcome.emits:
                self._add("L1", "it emits again what it had emitted in an earlier life", outcome.step)
        elif outcome.step in self._settled:
            self._add("single", "the Step has a second outcome", outcome.step)
        self._settled.add(outcome.step)
        self._outcomes[outcome.step] = outcome
        failed = self._attempts.get((outcome.step, -1), 0)
        if outcome.attempt <= failed and not outcome.cause:
            self._add("single", f"Attempt {outcome.attempt} settled it, but had failed", outcome.step)

    def _check_items(self, record: ItemsSettled) -> None:
        self._check_ordinal(record.ordinal, record.step)
        done = self._items.setdefault(record.step, set())
        told = [i for lo, hi, _ in record.values for i in range(lo, hi)] + [f.index for f in record.failures]
        failed = self._failed_items.setdefault(record.step, {})
        failed |= {item.index: item.failure.attempt for item in record.failures}
        if record.step in self._settled:
            self._add("single", "items of a settled map are settled", record.step)
        for index in told:
            if index in done:
                self._add("single", f"item {index} has a second outcome", record.step)
            done.add(index)

    def _check_chunk(self, record: Chunked) -> None:
        if record.ordinal:
            self._check_ordinal(record.ordinal, record.step)
        key = (record.step, record.attempt)
        expected, closed = self._chunks.get(key, (0, False))
        has_begun = record.step in self._items and record.step not in self._copied
        if record.chunk.lo == 0 and not has_begun and record.body not in self._graphs:
            expected, closed = 0, False
        if closed or record.chunk.lo != expected:
            self._add("order", f"a chunk begins at item {record.chunk.lo}, not at {expected}", record.step)
        self._chunks[key] = (record.chunk.lo + record.chunk.count, record.chunk.last)

    def _check_attempt(self, record: AttemptFailed) -> None:
        key = (record.step, record.item)
        if record.attempt <= self._attempts.get(key, 0):
            self._add("single", f"Attempt {record.attempt} failed twice, or after a later one", record.step)
        if record.step in self._settled or record.item in self._items.get(record.step, ()):
            self._add("single", "an Attempt failed after the Step was settled", record.step)
        self._attempts[key] = record.attempt


def _lives(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Yield where each life of a Run begins and ends among its rows."""
    begins = [0, *(position for position, row in enumerate(rows) if _begins_life(row))]
    yield from zip(begins, [*begins[1:], len(rows)], strict=True)


def _begins_life(row: Row) -> bool:
    return any(isinstance(record, Retried) for record in row.records)


def _bytes_violations(uid: RunUid, rows: Sequence[Row], blobs_at: Sequence[Collection[str]] | None) -> list[Violation]:
    """Return records that name bytes which were not durable when they committed (C2)."""
    found = []
    for position, row in enumerate(rows):
        for data in _data_in(row.records):
            if isinstance(data, Object):
                text = f"a record names Object {data.oid}, which is gone when the engine is"
            elif blobs_at is not None and data.sha256 not in blobs_at[position]:
                text = f"blob {data.sha256[:8]} was not durable when the row committed"
            else:
                continue
            found.append(Violation("C2", uid, row.seq, StepId(""), text))
    return found


def _data_in(value: Any) -> Iterator[Object | Blob]:
    """Yield every Object and Blob in records, wherever they stand."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, Object | Blob):
            yield item
        elif isinstance(item, tuple):
            stack.extend(item)
        elif isinstance(item, Failure):
            stack.append(item.error)
        elif isinstance(item, Struct):
            stack.extend(getattr(item, name) for name in item.__struct_fields__)
