"""Very many Runs, made quickly: copies of a real one under other names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from weftrun.model.ids import RunId, RunUid
from weftrun.model.records import Row, Started

_AT_ONCE = 2_000


def copies_of(rows: Sequence[Row], count: int) -> Iterator[list[Row]]:
    """Yield the rows of so many copies of a Run, in groups that are one transaction each."""
    for first in range(0, count, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, count))
        yield [_copy(row, number) for number in numbers for row in rows]


def _copy(row: Row, number: int) -> Row:
    records = tuple(
        msgspec.structs.replace(record, id=RunId(f"copy-{number}")) if isinstance(record, Started) else record
        for record in row.records
    )
    return Row(RunUid(f"{number:032x}"), row.seq, row.at, 1, records)
