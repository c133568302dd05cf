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
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
)
from weftrun.model.values import Blob, Object
from weftrun.testing.ancestors import Ancestors


class Violation(Struct, frozen=True):
    """A rule that the rows of a Run break.

    Attributes:
        rule: `C1`, `C2`, `order` (of rows, ordinals, first and last records), `single` (one outcome per Step) or `R1`.
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

    def judge(self, rows: Sequence[Row], functions: Mapping[str, FunctionSpec]) -> list[Violation]:
        """Return what is wrong with the rows of the Run."""
        ancestors = Ancestors(rows, functions)
        for position, row in enumerate(rows):
            self._check_row(position, row, last=position == len(rows) - 1)
            for record in row.records:
                self._check_record(record)
        for seq, step, text in ancestors.missing():
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
            case _:
                pass

    def _check_ordinal(self, ordinal: int, step: StepId) -> None:
        if ordinal <= self._ordinal:
            self._add("order", f"ordinal {ordinal} comes after {self._ordinal}", step)
        self._ordinal = max(self._ordinal, ordinal)

    def _check_outcome(self, outcome: StepOutcome) -> None:
        self._check_ordinal(outcome.ordinal, outcome.step)
        if outcome.step in self._settled:
            self._add("single", "the Step has a second outcome", outcome.step)
        self._settled.add(outcome.step)
        failed = self._attempts.get((outcome.step, -1), 0)
        if outcome.attempt <= failed:
            self._add("single", f"Attempt {outcome.attempt} settled it, but had failed", outcome.step)

    def _check_items(self, record: ItemsSettled) -> None:
        self._check_ordinal(record.ordinal, record.step)
        done = self._items.setdefault(record.step, set())
        told = [i for lo, hi, _ in record.values for i in range(lo, hi)] + [f.index for f in record.failures]
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
        if record.chunk.lo == 0 and record.step not in self._items and record.body not in self._graphs:
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
