"""How values came to the Steps that take them: from which Worker, by which way, and how many bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from msgspec import Struct

from weftrun.model.hosts import ENGINE, SANDBOXES_EACH
from weftrun.model.ids import StepId
from weftrun.views.trace import Traced, number

Way = Literal["local", "fetched", "sent"]


class Transfer(Struct, frozen=True, gc=False):
    """An Object of a Step's value came to the host of a Worker, for all that read it there.

    Attributes:
        step: whose value it is.
        worker: to which it came.
        source: the Worker from which it was fetched; 0 where the engine sent it.
        began_at, came_at: when it was asked for, and when it was there, in seconds since the epoch.
    """

    step: StepId
    worker: int
    source: int
    nbytes: int
    began_at: float
    came_at: float


class CameView(Struct, frozen=True, gc=False):
    """A value, large enough to be an Object, came to a Step that takes it.

    Attributes:
        step: whose value it is.
        way: `local` where it was on the same host: mapped, or a file with `data="store"`; `fetched` from another
            host by the one that read it; `sent` by the engine.
        worker: that had it; 0 for the engine.
        nbytes: how large it is; copied once for all that read it on a host.
    """

    step: StepId
    way: Way
    worker: int
    nbytes: int


def transfer_of(row: Traced) -> Transfer:
    """Return what a row `came` of the trace tells."""
    return Transfer(
        row.step,
        int(number(row, "worker")),
        int(number(row, "source")),
        int(number(row, "bytes")),
        number(row, "began"),
        number(row, "came"),
    )


def transfers(trace: Sequence[Traced]) -> list[Transfer]:
    """Return what came from host to host, by the time it was asked for."""
    return sorted((transfer_of(row) for row in trace if row.kind == "came"), key=lambda each: each.began_at)


class Ways:
    """What came where in one Run, as the trace tells it."""

    def __init__(self) -> None:
        self._came: dict[tuple[StepId, int], list[Transfer]] = {}

    def add(self, row: Traced) -> None:
        """Take in a row `came`."""
        transfer = transfer_of(row)
        self._came.setdefault((transfer.step, transfer.worker), []).append(transfer)

    def to(self, sandbox: int, values: Iterable[tuple[StepId, int, int]]) -> Iterator[CameView]:
        """Yield how values came to a Step that ran in a Sandbox.

        Args:
            values: Steps whose Objects it takes, each with the Sandbox that made it, and its size in bytes.
        """
        worker = sandbox // SANDBOXES_EACH
        for step, made_in, nbytes in values:
            source = made_in // SANDBOXES_EACH
            found = self._came.get((step, worker))
            if found is not None:
                last = found[-1]
                yield CameView(step, "sent" if last.source == ENGINE else "fetched", last.source, nbytes)
            elif source == worker or not self._came:
                yield CameView(step, "local", source, nbytes)
