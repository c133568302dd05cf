"""The policy `planned`: Steps go where they would end first, and stay with what they read.

List scheduling by rank, after HEFT (Topcuoglu, Hariri, Wu, 2002), with what HEFT leaves out: links that are shared, a
value that crosses once for all its readers there, and memory. A Worker that ends a Step hardly later than the best one
is taken where more of those are who read the same Steps, or whose value will be read together with its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.placement.timetable import StepTimes
from weftrun.model.placement import Network, PlanStep, PlanWorker

_TRIED = 4
"""So many Workers that draw a Step are tried, and the one with the least to do; so many readers are looked at."""


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
        home = _home(table, n, _near(table, steps, n, drawn, readers), busy.least, network.hop_s)
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


def _near(
    table: StepTimes,
    steps: Sequence[PlanStep],
    step: int,
    drawn: Sequence[dict[int, float]],
    readers: Sequence[Sequence[int]],
) -> dict[int, float]:
    """Return how much draws a Step to each Worker: what it reads, and what is read together with its value.

    Where that is not placed yet, it is what that reads.
    """
    found = dict(drawn[step])
    for reader in readers[step][:_TRIED]:
        drawing = [drawn[reader]]
        for sibling, _ in steps[reader].takes[:_TRIED]:
            if table.homes[sibling] < 0 and sibling != step:
                drawing.append(drawn[sibling])
        for homes in drawing:
            for home, weight in homes.items():
                found[home] = found.get(home, 0.0) + weight
    found.pop(table.elsewhere, None)
    return found


def _home(table: StepTimes, step: int, near: dict[int, float], least: int, hop_s: float) -> int:
    """Return the Worker for a Step: one that ends it about first, and of those the one that draws it most."""
    tried = sorted(near, key=lambda home: (-near[home], home))[:_TRIED]
    if least not in near:
        tried.append(least)
    fitting = [home for home in tried if table.fits(step, home)] or tried
    ends = {home: table.would_end(step, home) for home in fitting}
    bound = min(ends.values()) + hop_s
    return max(
        (home for home in fitting if ends[home] <= bound),
        key=lambda home: (near.get(home, 0.0), -ends[home], -home),
    )
