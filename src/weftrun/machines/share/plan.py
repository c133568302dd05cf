"""Plans: which Workers share a Run, and where each of its Steps is at home (M3)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence

from weftrun.model.ids import StepId, WorkerId
from weftrun.model.policy import Kind
from weftrun.model.records import Graphed, Planned, Row, Started


class Plan:
    """A recorded plan, ready to be asked.

    Attributes:
        epoch: of the row that holds it.
        workers: all Workers of the plan, ascending.
    """

    __slots__ = ("_homes", "epoch", "workers")

    def __init__(self, epoch: int, planned: Planned) -> None:
        self.epoch = epoch
        self.workers = planned.workers
        self._homes = dict(planned.homes)

    def home(self, step: StepId) -> WorkerId:
        """Return the Worker where a Step is at home: it alone enters it, and what joins there is counted there.

        A Step that the plan does not name belongs to the Worker with the highest checksum for it: so it moves only
        when that Worker goes, or one comes that is higher.
        """
        home = self._homes.get(step)
        if home is None:
            home = self._homes[step] = max(self.workers, key=lambda worker: _weight(step, worker))
        return home


def _weight(step: StepId, worker: WorkerId) -> tuple[int, WorkerId]:
    return zlib.crc32(f"{worker * 2_654_435_761 % 2**32:08x}@{step}".encode()) * 2_654_435_761 % 2**32, worker


def last_plan(rows: Sequence[Row]) -> Plan | None:
    """Return the plan that rows tell of last."""
    for row in reversed(rows):
        for record in row.records:
            if isinstance(record, Planned):
                return Plan(row.epoch, record)
    return None


def first_epoch(rows: Sequence[Row]) -> int:
    """Return the epoch of the first plan: what is older was made by nobody; 0 where there is none."""
    return next((row.epoch for row in rows for record in row.records if isinstance(record, Planned)), 0)


def next_planned(before: Planned | None, alive: Iterable[WorkerId], homes: Mapping[StepId, WorkerId]) -> Planned:
    """Return the plan that follows on `before` with the Workers that are alive.

    What was at home at a Worker that is gone moves by the rule; all else stays.
    """
    workers = tuple(sorted(set(alive)))
    named = before.homes if before is not None else tuple(homes.items())
    return Planned(workers, tuple((step, worker) for step, worker in named if worker in workers))


def unshareable(rows: Sequence[Row]) -> str:
    """Return why several Workers can't share this Run yet; empty where they can."""
    records = [record for row in rows for record in row.records]
    started = next(record for record in records if isinstance(record, Started))
    if started.function.kind is Kind.FUNCTION:
        return "it has one Step"
    if started.function.kind is Kind.WATCHING:
        return ""
    graph = next((record for record in records if isinstance(record, Graphed)), None)
    if graph is None:
        return "its graph is not recorded yet"
    if any(call.is_map for call in graph.calls):
        return "it has a map, whose items are not split among Workers yet"
    if any(graph.functions[call.function].kind is Kind.WIRING for call in graph.calls):
        return "it has a `def` child, whose graph is not split among Workers yet"
    return ""
