"""Plans by each policy, and what each of them comes to under the same model."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from weftrun.machines.placement.faasflow import grouped
from weftrun.machines.placement.planned import scheduled
from weftrun.machines.placement.timetable import StepTimes, in_order, ranks
from weftrun.model.placement import Grouping, Network, Placement, PlacementPlan, PlanStep, PlanWorker

_GROUPED_MAX = 100
"""Graphs of so many Steps are grouped as FaaSFlow does, too, to see which plan is better: that takes quadratic time."""


def make_plan(
    policy: Placement,
    steps: Sequence[PlanStep],
    workers: Sequence[PlanWorker],
    network: Network,
    grouping: Grouping,
) -> PlacementPlan:
    """Return where each Step is to run. Equal arguments give equal plans.

    Args:
        steps: each behind those that it takes from.
        workers: at least one.
        network: between each two of them.
        grouping: the constants of the policy `faasflow`.
    """
    found = ranks(steps, network)
    order = in_order(found)
    spread_s = max(found, default=0.0)
    if policy == "hash":
        homes = [home_by_hash(step.name, len(workers)) for step in steps]
        return _told(policy, steps, _timed(steps, workers, network, order, homes), spread_s)
    if policy == "faasflow":
        groups = grouped(steps, len(workers), grouping)
        homes = [groups.homes[groups.of[n]] for n in range(len(steps))]
        table = _timed(steps, workers, network, order, homes)
        return _told(policy, steps, table, spread_s, list(groups.members.values()))
    tables = [scheduled(steps, workers, network, order), _timed(steps, workers, network, order, [0] * len(steps))]
    if len(steps) <= _GROUPED_MAX:
        groups = grouped(steps, len(workers), grouping)
        tables.append(_timed(steps, workers, network, order, [groups.homes[groups.of[n]] for n in range(len(steps))]))
    return _told(policy, steps, min(tables, key=lambda table: _worth(steps, table)), spread_s)


def home_by_hash(name: str, workers: int) -> int:
    """Return the Worker of a Step by its name alone: the same in every process."""
    return zlib.crc32(name.encode()) % workers


def _worth(steps: Sequence[PlanStep], table: StepTimes) -> tuple[float, float, int, float]:
    """Return what makes a plan worse: values that no memory holds, its length, Steps that read from another Worker.

    These can't be armed; bytes that cross come last, for what they cost is in the length.
    """
    homes = table.homes
    apart = sum(any(homes[producer] != homes[n] for producer, _ in step.takes) for n, step in enumerate(steps))
    return table.spilled_bytes, round(table.length_s, 9), apart, table.moved_bytes


def _timed(
    steps: Sequence[PlanStep],
    workers: Sequence[PlanWorker],
    network: Network,
    order: Sequence[int],
    homes: Sequence[int],
) -> StepTimes:
    """Return when each Step runs on the Worker that it has."""
    table = StepTimes(steps, workers, network)
    for n in order:
        table.place(n, table.elsewhere if steps[n].is_elsewhere else homes[n])
    return table


def _told(
    policy: Placement,
    steps: Sequence[PlanStep],
    table: StepTimes,
    spread_s: float,
    groups: list[list[int]] | None = None,
) -> PlacementPlan:
    homes = tuple(-1 if home == table.elsewhere else home for home in table.homes)
    members = groups if groups is not None else together(steps, homes)
    return PlacementPlan(
        policy,
        homes,
        tuple(sorted((tuple(sorted(group)) for group in members), key=lambda group: (-len(group), group))),
        table.path,
        table.length_s,
        spread_s,
        table.moved_bytes,
        sum(nbytes for step in steps for _, nbytes in step.takes),
    )


def together(steps: Sequence[PlanStep], homes: Sequence[int]) -> list[list[int]]:
    """Return the Steps that hang together on one Worker each."""
    of = list(range(len(steps)))

    def root(n: int) -> int:
        while of[n] != n:
            of[n] = of[of[n]]
            n = of[n]
        return n

    for n, step in enumerate(steps):
        for producer, _ in step.takes:
            if homes[n] == homes[producer] >= 0:
                of[root(n)] = root(producer)
    groups: dict[int, list[int]] = {}
    for n in range(len(steps)):
        groups.setdefault(root(n), []).append(n)
    return list(groups.values())
