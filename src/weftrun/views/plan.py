"""A plan for people: which Steps are together and why, the critical path, and what must cross between Workers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.machines.placement.links import LinkSpeed
from weftrun.model.ids import WorkerId
from weftrun.model.placement import Network, PlacementPlan, PlanStep
from weftrun.views.came import Transfer
from weftrun.views.units import count_of, duration, size

_PATH_SHOWN = 12
_STEPS_SHOWN = 6
_CROSSING_SHOWN = 8


class PlannedStep(Struct, frozen=True):
    """One Step of a plan.

    Attributes:
        worker: counted from 1; None where no single Worker runs it: a map, or a workflow.
        takes: names of the Steps that it waits for.
        known_by: where its time and size come from: `run` (an earlier one), `file`, or `default`.
    """

    name: str
    worker: int | None
    runtime_s: float
    output_bytes: int
    takes: tuple[str, ...]
    known_by: str


class PlannedGroup(Struct, frozen=True):
    """Steps that stay together on one Worker; `why` is a clause."""

    worker: int | None
    steps: tuple[str, ...]
    why: str


class Crossing(Struct, frozen=True):
    """A value that is read on another Worker than its own: once for all its readers there."""

    step: str
    worker: int
    readers: int
    bytes: int


class PlanView(Struct, frozen=True):
    """A plan, as `weftrun plan --json` tells it.

    Attributes:
        critical_path: the Steps that the end waits for, for a value or for a place.
        length_s: how long it is, in seconds; `spread_s` the longest way if every value crossed.
        moved_bytes: bytes that are expected to cross; `total_bytes` those of all edges.
        run: id of the Run whose times and sizes these are; empty where there is none.
        bytes_s: of each link, in bytes a second; `links_by` where that comes from: `run` (of which so many
            `values_crossed` links), `option`, or `default`.
    """

    workflow: str
    placement: str
    workers: int
    places: int
    run: str
    critical_path: tuple[str, ...]
    length_s: float
    spread_s: float
    moved_bytes: int
    total_bytes: int
    groups: tuple[PlannedGroup, ...]
    crossing: tuple[Crossing, ...]
    steps: tuple[PlannedStep, ...]
    bytes_s: float
    links_by: str
    values_crossed: int


class Links(Struct, frozen=True):
    """What a plan takes the links between Workers for; see `PlanView`."""

    network: Network
    by: str = "default"
    values: int = 0


def links_of(transfers: Sequence[Transfer]) -> LinkSpeed:
    """Return how fast links were, by what came from Worker to Worker in a Run."""
    speed = LinkSpeed()
    for each in sorted(transfers, key=lambda each: each.came_at):
        speed.crossed(WorkerId(each.source), WorkerId(each.worker), each.nbytes, each.began_at, each.came_at)
    return speed


def plan_view(
    workflow: str,
    plan: PlacementPlan,
    steps: Sequence[PlanStep],
    known_by: Sequence[str],
    *,
    workers: int,
    places: int,
    run: str,
    links: Links,
) -> PlanView:
    """Return a plan as people are told it.

    Args:
        known_by: by Step, where what is expected of it comes from.
        places: of each Worker.
        run: id of the Run that was measured; empty for none.
        links: that the plan was made for.
    """
    names = [step.name for step in steps]
    worker_of = [home + 1 if home >= 0 else None for home in plan.homes]
    groups = (
        PlannedGroup(worker_of[group[0]], tuple(names[n] for n in group), _why(steps, group)) for group in plan.groups
    )
    told = (
        PlannedStep(
            step.name, worker_of[n], step.expected.runtime_s, int(step.expected.output_bytes),
            tuple(names[taken] for taken, _ in step.takes), known_by[n],
        )
        for n, step in enumerate(steps)
    )  # fmt: skip
    path = tuple(names[n] for n in plan.path)
    return PlanView(
        workflow, plan.policy, workers, places, run, path, plan.length_s, plan.spread_s, int(plan.moved_bytes),
        int(plan.total_bytes), tuple(groups), tuple(_crossing(steps, plan)), tuple(told),
        links.network.bytes_s, links.by, links.values,
    )  # fmt: skip


def _why(steps: Sequence[PlanStep], group: Sequence[int]) -> str:
    """Say what keeps a group together: the value of which most is read within it."""
    inside = set(group)
    read: dict[int, list[float]] = {}
    for n in group:
        for taken, nbytes in steps[n].takes:
            if taken in inside:
                read.setdefault(taken, []).append(nbytes)
    if not read:
        return "alone: nothing that it takes or gives stays at its Worker"
    heaviest = max(read, key=lambda n: (sum(read[n]), len(read[n]), -n))
    saved = sum(sum(each) for each in read.values())
    return (
        f"{count_of(sum(map(len, read.values())), 'value')} and {size(int(saved))} stay, most of it what "
        f"{steps[heaviest].name} gives {'to ' + count_of(len(read[heaviest]), 'Step')}"
    )


def _crossing(steps: Sequence[PlanStep], plan: PlacementPlan) -> Iterator[Crossing]:
    """Yield the values that cross, the largest first."""
    found: dict[tuple[int, int], list[float]] = {}
    for n, step in enumerate(steps):
        for taken, nbytes in step.takes:
            if plan.homes[n] != plan.homes[taken] and plan.homes[n] >= 0:
                found.setdefault((taken, plan.homes[n]), []).append(nbytes)
    for (taken, home), read in sorted(found.items(), key=lambda each: (-max(each[1]), each[0])):
        yield Crossing(steps[taken].name, home + 1, len(read), int(max(read)))


def plan_lines(view: PlanView) -> Iterator[str]:
    """Yield a plan as text."""
    yield (
        f"{view.workflow}: {count_of(len(view.steps), 'Step')} on {count_of(view.workers, 'Worker')} of "
        f"{count_of(view.places, 'place')}, placement {view.placement}"
    )
    yield f"expected: {_sources(view)}"
    yield f"links: {_links(view)}"
    yield f"critical path: {duration(view.length_s)}; {duration(view.spread_s)} if every value crossed"
    yield f"  {_shortened(view.critical_path, ' → ', _PATH_SHOWN)}"
    moved, total = size(view.moved_bytes), size(view.total_bytes)
    yield f"bytes to move between Workers: {moved} of {total} that Steps read of each other"
    for crossing in view.crossing[:_CROSSING_SHOWN]:
        to = f"Worker {crossing.worker}, for {count_of(crossing.readers, 'reader')}"
        yield f"  {crossing.step} to {to}: {size(crossing.bytes)}"
    if len(view.crossing) > _CROSSING_SHOWN:
        yield f"  and {len(view.crossing) - _CROSSING_SHOWN:,} more"
    yield "groups:"
    for group in view.groups:
        where = f"Worker {group.worker}" if group.worker is not None else "all Workers, or the engine"
        yield f"  {count_of(len(group.steps), 'Step')} on {where}: {_shortened(group.steps, ', ', _STEPS_SHOWN)}"
        yield f"    {group.why}"


def _sources(view: PlanView) -> str:
    counts = {by: sum(step.known_by == by for step in view.steps) for by in ("run", "file", "default")}
    said = {
        "run": f"as Run {view.run} took",
        "file": "as the file says",
        "default": "not known, and taken as 100 ms and no bytes",
    }
    return "; ".join(f"{count_of(n, 'Step')} {said[by]}" for by, n in counts.items() if n) or "nothing"


def _links(view: PlanView) -> str:
    why = {
        "run": f"as {count_of(view.values_crossed, 'value')} of Run {view.run} crossed",
        "option": "as --bandwidth says",
        "default": "taken as that, since no Run tells",
    }
    return f"{view.bytes_s / 1e6:,.4g} MB/s, {why[view.links_by]}"


def _shortened(names: Sequence[str], by: str, most: int) -> str:
    if len(names) <= most:
        return by.join(names)
    return f"{by.join(names[:most])}{by}… ({len(names) - most:,} more)"


def plan_mermaid(view: PlanView) -> str:
    """Return a plan as a Mermaid flowchart: a box for each Worker; thick edges are the critical path."""
    keys = {step.name: f"s{n}" for n, step in enumerate(view.steps)}
    lines = ["flowchart LR"]
    for worker in sorted({step.worker or 0 for step in view.steps}):
        title = f"Worker {worker}" if worker else "all Workers, or the engine"
        lines.append(f'  subgraph w{worker}["{title}"]')
        lines += [f"    {keys[s.name]}[{_quoted(s.name)}]" for s in view.steps if (s.worker or 0) == worker]
        lines.append("  end")
    path = set(zip(view.critical_path, view.critical_path[1:], strict=False))
    for step in view.steps:
        for taken in step.takes:
            arrow = "==>" if (taken, step.name) in path else "-->"
            lines.append(f"  {keys[taken]} {arrow} {keys[step.name]}")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    """Return a Mermaid label that shows `text` as it is."""
    return '"' + text.replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;").replace(">", "#gt;") + '"'
