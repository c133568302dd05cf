"""What an append must know of a Run, and what it says of one to SQLite."""

from __future__ import annotations

from weftrun.model.errors import InternalError
from weftrun.model.records import Row, Started

Binding = tuple[str | bytes | int | float | None, ...]


class Head:
    """What an append must know of a Run. `progressed`: its take-over counter stands at 0. `queued`: it is a queue's."""

    __slots__ = ("ended", "epoch", "key", "owner", "progressed", "queued", "seq")

    def __init__(
        self, key: int, epoch: int, takeovers: int, ended: int, owner: int | None, seq: int, queued: int = 0
    ) -> None:
        self.key = key
        self.epoch = epoch
        self.progressed = takeovers == 0
        self.ended = bool(ended)
        self.owner = owner
        self.seq = seq
        self.queued = bool(queued)


def start_binding(row: Row, body: bytes) -> Binding:
    """Return what makes a Run of its first row, without its owner."""
    started = row.records[0]
    if not isinstance(started, Started):
        raise InternalError(f"The first record of Run {row.uid} is no start record.")
    function = started.function
    uid = bytes.fromhex(row.uid)
    return (
        started.id,
        uid,
        row.at,
        row.epoch,
        function.name,
        function.version,
        started.bundle.file,
        started.digest,
        body,
    )


def check_next(head: Head, row: Row) -> None:
    """Raise `InternalError` unless a row is the next one of its Run."""
    if head.ended:
        raise InternalError(f"Run {row.uid} has ended, but record {row.seq} of it was appended.")
    if row.epoch != head.epoch:
        raise InternalError(f"Record {row.seq} of Run {row.uid} is of epoch {row.epoch}, and the Run of {head.epoch}.")
    if row.seq != head.seq + 1:
        raise InternalError(f"Run {row.uid} has {head.seq} records, but record {row.seq} was appended.")
