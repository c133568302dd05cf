"""Plans for Runs as they come: by what was expected of their Steps, and by what earlier Runs of the workflow took."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from weftrun.machines.placement.links import LinkSpeed
from weftrun.machines.placement.plan import home_by_hash, make_plan
from weftrun.model.commands import Outline
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Expected, Grouping, Network, Placement, PlanStep, PlanWorker
from weftrun.model.work import Came

Workflow = tuple[str, str]
"""Name and label of the Function that was started."""

_NEWEST = 0.3
"""Weight of what was seen last, among all that was seen of a Step."""
_LIKE = 1.5
_LITTLE_S = 0.01
_LITTLE_BYTES = 100_000.0
"""What has become larger or smaller by no more than this factor, and this much, makes no other plan."""
_STEPS_MAX = 20_000
"""Graphs of more Steps are placed as they come."""
_WORKFLOWS_MAX = 500
_PLANS_MAX = 200


class Planner:
    """Chooses the homes of Steps whose graph is known.

    Args:
        policy: see `model.placement`.
        network: between each two Workers, until values have crossed it.
        memory_bytes: of each Worker, for values.
        grouping: the constants of the policy `faasflow`.
    """

    def __init__(
        self,
        policy: Placement = "planned",
        network: Network | None = None,
        memory_bytes: float = math.inf,
        grouping: Grouping | None = None,
    ) -> None:
        self.policy = policy
        self._network = network or Network()
        self._links = LinkSpeed()
        self._memory_bytes = memory_bytes
        self._grouping = grouping or Grouping()
        self._expected: dict[Workflow, dict[str, Expected]] = {}
        self._plans: dict[object, tuple[list[Expected], tuple[int, ...]]] = {}

    def expect(self, workflow: Workflow, expected: Mapping[str, Expected]) -> None:
        """Say what the Steps of a workflow are expected to need, by label; the time and size known first stay."""
        known = self._of(workflow)
        for label, each in expected.items():
            before = known.get(label, each)
            known[label] = replace(each, runtime_s=before.runtime_s, output_bytes=before.output_bytes)

    def expected(self, workflow: Workflow) -> Mapping[str, Expected]:
        """Return what is known of the Steps of a workflow, by their labels."""
        return self._expected.get(workflow, {})

    def saw(self, workflow: Workflow, label: str, runtime_s: float, output_bytes: int) -> None:
        """Take what a Step of a workflow has taken: it counts for the next Run."""
        known = self._of(workflow)
        before = known.get(label)
        if before is None:
            known[label] = Expected(runtime_s, output_bytes)
            return
        runtime_s = before.runtime_s + (runtime_s - before.runtime_s) * _NEWEST
        nbytes = before.output_bytes + (output_bytes - before.output_bytes) * _NEWEST
        known[label] = replace(before, runtime_s=runtime_s, output_bytes=nbytes)

    def crossed(self, came: Came) -> None:
        """Take in how long a value was on its way: plans are made anew when links have become another thing."""
        self._links.crossed(came.source, came.worker, came.nbytes, came.began_at, came.at)
        bytes_s, planned_s = self._links.bytes_s, self._network.bytes_s
        if bytes_s and not max(bytes_s, planned_s) <= _LIKE * min(bytes_s, planned_s):
            self._network = replace(self._network, bytes_s=bytes_s)
            self._plans.clear()

    def _of(self, workflow: Workflow) -> dict[str, Expected]:
        known = self._expected.get(workflow)
        if known is None:
            if len(self._expected) >= _WORKFLOWS_MAX:
                del self._expected[next(iter(self._expected))]
            known = self._expected[workflow] = {}
        return known

    def homes(self, outline: Outline, workers: Sequence[tuple[WorkerId, int]]) -> dict[int, WorkerId]:
        """Return the home of each Step that one Worker runs; of what is left out, nothing is planned.

        Args:
            workers: those that are there, with how many Functions each runs at once; the ones with the least to do
                first.
        """
        if not workers:
            return {}
        if self.policy == "hash":
            return {
                step.step: self.home_of(step.id, [worker for worker, _ in workers])
                for step in outline.steps
                if step.is_single
            }
        if len(outline.steps) > _STEPS_MAX:
            return {}
        if self.policy == "faasflow":
            workers = sorted(workers)
        there = tuple(PlanWorker(places, self._memory_bytes) for _, places in workers)
        planned = self._planned(outline, there)
        return {step.step: workers[home][0] for step, home in zip(outline.steps, planned, strict=True) if home >= 0}

    def _planned(self, outline: Outline, workers: tuple[PlanWorker, ...]) -> tuple[int, ...]:
        """Return the places of homes: those of the last plan, unless what is expected has become another thing."""
        known = self._expected.get(outline.workflow, {})
        expected = [known.get(step.label, _UNKNOWN) for step in outline.steps]
        shape = (outline.workflow, _shape(outline), workers)
        last = self._plans.get(shape)
        if last is not None and all(map(_is_like, last[0], expected)):
            return last[1]
        if len(self._plans) >= _PLANS_MAX:
            del self._plans[next(iter(self._plans))]
        homes = make_plan(self.policy, _steps(outline, expected), workers, self._network, self._grouping).homes
        self._plans[shape] = (expected, homes)
        return homes

    def home_of(self, name: str, workers: Sequence[WorkerId]) -> WorkerId:
        """Return the home of a Step by its name alone, among the Workers that are there."""
        return sorted(workers)[home_by_hash(name, len(workers))]


_UNKNOWN = Expected()


def _is_like(one: Expected, other: Expected) -> bool:
    """Say whether two expectations are near enough to make the same plan."""
    return one is other or (
        _is_near(one.runtime_s, other.runtime_s, _LITTLE_S)
        and _is_near(one.output_bytes, other.output_bytes, _LITTLE_BYTES)
    )


def _is_near(one: float, other: float, little: float) -> bool:
    return max(one, other) <= _LIKE * min(one, other) + little


def _shape(outline: Outline) -> tuple[object, ...]:
    """Return what two graphs have in common that differ in nothing but when they were made."""
    first = outline.steps[0].step
    return tuple((step.label, step.is_single, *(taken - first for taken in step.takes)) for step in outline.steps)


def _steps(outline: Outline, expected: Sequence[Expected]) -> list[PlanStep]:
    place = {step.step: n for n, step in enumerate(outline.steps)}
    steps = []
    for step, each in zip(outline.steps, expected, strict=True):
        takes = (place[taken] for taken in step.takes if taken in place)
        edges = tuple((taken, expected[taken].output_bytes) for taken in takes)
        steps.append(PlanStep(step.id, each, edges, is_elsewhere=not step.is_single))
    return steps
