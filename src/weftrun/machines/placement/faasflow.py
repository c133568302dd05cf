"""FaaSFlow's grouping: the heaviest edges of the critical path become local, one after the other.

After FaaSFlow (ASPLOS'22), as its published code does it. Each Step begins as a group of its own, on a Worker by its
hash. The ends of the dearest edge on the critical path that may be merged are merged, until none may be. An edge costs
all that its producer gives, over a bandwidth; one within a group a fifteenth of that. Nothing shares anything: there is
no contention.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from weftrun.model.placement import Grouping, PlanStep


class Groups:
    """The groups so far, on Workers that have room for them.

    Attributes:
        of: by Step, its group; groups are known by one of their Steps.
        members: by group, its Steps.
        homes: by group, its Worker.
        used_bytes: how much of the quota is taken.
    """

    def __init__(self, steps: Sequence[PlanStep], workers: int, settings: Grouping) -> None:
        self._steps = steps
        self._settings = settings
        self.of = list(range(len(steps)))
        self.members = {n: [n] for n in range(len(steps))}
        self.homes = {n: zlib.crc32(step.name.encode()) % workers for n, step in enumerate(steps)}
        self._containers = {n: step.expected.containers for n, step in enumerate(steps)}
        self._left = [settings.places] * workers
        for group, home in self.homes.items():
            self._left[home] -= self._containers[group]
        self.used_bytes = 0.0
        self._kept: set[int] = set()
        self.quota_bytes = settings.quota_bytes if settings.quota_bytes is not None else quota(steps, settings)

    def merge(self, producer: int, reader: int) -> bool:
        """Merge the groups of two Steps; say whether that may be."""
        one, other = self.of[producer], self.of[reader]
        if one == other or len(self.members[one]) + len(self.members[other]) > self._settings.group_max:
            return False
        home = self._best_fit(one, other)
        fresh = 0.0 if producer in self._kept else self._steps[producer].expected.output_bytes
        if home is None or self.used_bytes + fresh > self.quota_bytes:
            return False
        self.used_bytes += fresh
        self._kept.add(producer)
        for group in (one, other):
            self._left[self.homes.pop(group)] += self._containers[group]
        self.members[one] += self.members.pop(other)
        self._containers[one] += self._containers.pop(other)
        self.homes[one] = home
        self._left[home] -= self._containers[one]
        for step in self.members[one]:
            self.of[step] = one
        return True

    def _best_fit(self, one: int, other: int) -> int | None:
        """Return the Worker with the least room of those that have enough for two groups together."""
        left = list(self._left)
        for group in (one, other):
            left[self.homes[group]] += self._containers[group]
        needed = self._containers[one] + self._containers[other]
        fitting = [(room, home) for home, room in enumerate(left) if room >= needed]
        return min(fitting)[1] if fitting else None


def quota(steps: Sequence[PlanStep], settings: Grouping) -> float:
    """Return how much memory the containers of all Steps leave for values, in bytes."""
    return sum(
        max(0.0, 1 - settings.reserve - step.expected.memory_share) * settings.container_bytes * step.expected.items
        for step in steps
        if not step.is_control
    )


def grouped(steps: Sequence[PlanStep], workers: int, settings: Grouping) -> Groups:
    """Return the groups of a graph on so many Workers."""
    groups = Groups(steps, workers, settings)
    while len(groups.members) > 1:
        _, path = critical_path(steps, settings, groups.of)
        # From the end to the beginning; of edges that cost the same the later one is merged first.
        edges = [(edge_s(steps, path[n - 1], settings), path[n - 1], path[n]) for n in range(len(path) - 1, 0, -1)]
        edges.sort(key=lambda edge: edge[0] / _ratio(groups.of, edge[1], edge[2], settings), reverse=True)
        if not any(groups.merge(producer, reader) for _, producer, reader in edges):
            break
    return groups


def edge_s(steps: Sequence[PlanStep], producer: int, settings: Grouping) -> float:
    """Return what an edge costs between Workers, in seconds: all that its producer gives, whoever reads how much."""
    return steps[producer].expected.output_bytes / settings.bytes_s


def _ratio(of: Sequence[int], producer: int, reader: int, settings: Grouping) -> float:
    return settings.local_ratio if of[producer] == of[reader] else 1.0


def critical_path(steps: Sequence[PlanStep], settings: Grouping, of: Sequence[int]) -> tuple[float, list[int]]:
    """Return the longest way through the graph, in seconds, and its Steps; the earlier one of two that are as long."""
    ends: list[float] = []
    through: list[int] = []
    for n, step in enumerate(steps):
        best, before = 0.0, -1
        for producer, _ in step.takes:
            at = ends[producer] + edge_s(steps, producer, settings) / _ratio(of, producer, n, settings)
            if before < 0 or at > best:
                best, before = at, producer
        ends.append(best + step.expected.runtime_s)
        through.append(before)
    if not ends:
        return 0.0, []
    last = max(range(len(ends)), key=lambda n: (ends[n], -n))
    path = [last]
    while through[path[-1]] >= 0:
        path.append(through[path[-1]])
    return ends[last], path[::-1]
