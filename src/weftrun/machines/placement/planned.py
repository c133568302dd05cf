"""The policy `planned`: Steps go where they would end first, and stay with what they read.

List scheduling by rank, after HEFT (Topcuoglu, Hariri, Wu, 2002), with what HEFT leaves out: links that are shared, a
value that crosses once for all its readers there, and memory. A Worker that ends a Step hardly later than the best one
is taken where more of those are who read the same Steps, or whose value will be read together with its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weftrun.machines.placement.timetable import StepTimes
from weftrun.model.placement import Network, PlanStep, PlanWorker

_TRIED = 4
"""So many Workers of those that a Step reads from are tried, the heaviest first, and the one that is free first."""


def scheduled(
    steps: Sequence[PlanStep], workers: Sequence[PlanWorker], network: Network, order: Sequence[int]
) -> StepTimes:
    """Return when and where each Step runs, `order` being an order in which each stands behind what it takes from."""
    table = StepTimes(steps, workers, network)
    readers: list[list[int]] = [[] for _ in steps]
    for n, step in enumerate(steps):
        for producer, _ in step.takes:
            readers[producer].append(n)
    drawn: list[dict[int, float]] = [{} for _ in steps]
    busy = _Busy(len(workers))
    for n in order:
        if steps[n].is_elsewhere or not workers:
            table.place(n, table.elsewhere)
            continue
        home = _home(table, n, _tried(table, n, drawn, readers, busy), drawn, readers, network.hop_s)
        table.place(n, home)
        busy.give(home, steps[n].expected.runtime_s, workers[home].places)
        weight = steps[n].expected.output_bytes + 1.0
        for reader in readers[n]:
            drawn[reader][home] = drawn[reader].get(home, 0.0) + weight
    return table


class _Busy:
    """How much each Worker has been given, for each place that it has."""

    def __init__(self, workers: int) -> None:
        self._given = [0.0] * workers

    def give(self, home: int, seconds: float, places: int) -> None:
        self._given[home] += (seconds + 1e-6) / places

    @property
    def least(self) -> int:
        return min(range(len(self._given)), key=self._given.__getitem__)


def _pull(drawn: Sequence[dict[int, float]], readers: Iterable[int], home: int) -> float:
    """Return how much of what is read together with a Step is on a Worker already."""
    return sum(drawn[reader].get(home, 0.0) for reader in readers)


def _tried(
    table: StepTimes,
    step: int,
    drawn: Sequence[dict[int, float]],
    readers: Sequence[Sequence[int]],
    busy: _Busy,
) -> list[int]:
    """Return the Workers that a Step may go to: of what it reads, of its siblings, and the one with the least to do."""
    here: dict[int, float] = dict(drawn[step])
    if not here:
        for reader in readers[step][:_TRIED]:
            for home, weight in drawn[reader].items():
                here[home] = here.get(home, 0.0) + weight
    heaviest = sorted(here, key=lambda home: (-here[home], home))[:_TRIED]
    return list(dict.fromkeys([*(home for home in heaviest if home != table.elsewhere), busy.least]))


def _home(
    table: StepTimes,
    step: int,
    tried: Sequence[int],
    drawn: Sequence[dict[int, float]],
    readers: Sequence[Sequence[int]],
    hop_s: float,
) -> int:
    fitting = [home for home in tried if table.fits(step, home)] or tried
    ends = {home: table.would_end(step, home) for home in fitting}
    bound = min(ends.values()) + hop_s
    near = [home for home in fitting if ends[home] <= bound]
    if len(near) == 1:
        return near[0]
    first = readers[step][:_TRIED]
    own = drawn[step]
    return max(near, key=lambda home: (own.get(home, 0.0) + _pull(drawn, first, home), -ends[home], -home))
