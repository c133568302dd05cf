"""How long plans take: genome of 10 to 200 functions, as the paper's scheduler scalability, and on to 10,000."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from experiments.table import Table
from weftrun.machines.placement import make_plan
from weftrun.model.placement import Expected, Grouping, Network, Placement, PlanStep, PlanWorker

_PUBLISHED = {10: 0.032, 25: 0.082, 50: 0.164, 100: 0.400, 200: 0.961}
"""Core seconds of the paper's scheduler, by functions."""
_GROUPED_MAX = 500
"""FaaSFlow's grouping takes quadratic time."""
_WORKERS = [PlanWorker(12)] * 7


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Plan graphs of several sizes by each policy, and return the processor time of each plan."""
    argparse.ArgumentParser(prog="python -m experiments faasflow/planner").parse_args(arguments)
    sizes = [*_PUBLISHED, 1_000] if quick else [*_PUBLISHED, 1_000, 10_000]
    table = Table(
        "planner",
        "Processor time of one plan, the least of three, for 7 Workers of 12 places",
        ["functions", "edges", "planned core s", "faasflow core s", "published core s"],
        notes=(
            "What differs from the paper: its scheduler reads and writes CouchDB, too, and its figure is of its own "
            f"host. FaaSFlow's grouping is not tried above {_GROUPED_MAX} functions."
        ),
    )
    for count in sizes:
        steps = genome(count)
        edges = sum(len(step.takes) for step in steps)
        grouped = _least_s("faasflow", steps) if count <= _GROUPED_MAX else ""
        table.rows.append([count, edges, _least_s("planned", steps), grouped, _PUBLISHED.get(count, "")])
    return [table]


def genome(count: int) -> list[PlanStep]:
    """Return a genome workflow of so many functions: for each chromosome 9 parts, a merge, a sifting, 14 readers."""
    steps: list[PlanStep] = []
    while len(steps) < count:
        first, chromosome = len(steps), len(steps) // 25
        steps += [PlanStep(f"individuals_{chromosome}_{n}", Expected(1.0, 1.2e6, 3, 0.25)) for n in range(9)]
        takes = tuple((first + n, 1.2e6) for n in range(9))
        steps.append(PlanStep(f"merge_{chromosome}", Expected(1.0, 5.3e6, 3, 0.25), takes))
        steps.append(PlanStep(f"sifting_{chromosome}", Expected(1.0, 0.25e6, 3, 0.25)))
        both = ((first + 9, 5.3e6), (first + 10, 0.25e6))
        steps += [PlanStep(f"reader_{chromosome}_{n}", Expected(1.0, 0.7e6, 3, 0.25), both) for n in range(14)]
    return steps[:count]


def _least_s(policy: Placement, steps: Sequence[PlanStep]) -> float:
    took = []
    for _ in range(3):
        before = time.process_time()
        make_plan(policy, steps, _WORKERS, Network(), Grouping())
        took.append(time.process_time() - before)
    return min(took)
