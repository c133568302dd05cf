"""Schedule overhead and data overhead of the science workflows: worker or master control, local data or a store.

Schedule overhead is what the paper calls so: how long a Run takes, less the time in the bodies of its critical path.
Data overhead is the time that functions spend on getting at the bytes of their inputs and on giving away those of their
outputs, summed over all functions of a Run.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

import weftrun
from experiments.late_link import late_link
from experiments.table import Table
from weftrun.fronts.faasflow.calls import start
from weftrun.fronts.faasflow.opening import read_plan
from weftrun.fronts.faasflow.plan import Plan
from weftrun.views.step import StepView

_FOLDER = Path(__file__).parents[2] / "examples/faasflow"
_CONTROLS = ("master", "worker")
_SETTINGS = [(control, data) for control in _CONTROLS for data in ("store", "local")]
_WORKERS = 3
_SANDBOXES = 12
"""On each Worker: so many that no function waits for one."""
_WARM_UP = 2
"""Runs that are not counted: Sandboxes start, and the first plan rests on what the file says."""
_PUBLISHED = {"cycles": (72, 95.0), "epigenomics": (82, 69), "genome": (82, 24), "soykb": (80, 5)}
"""By how many percent schedule overhead, and data overhead, fell in the paper's own results."""


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001  # as all experiments
    """Run each workflow under each setting, and return the overheads and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasflow/overhead")
    parser.add_argument("--runs", type=int, default=3 if quick else 10, help="of each workflow under each setting")
    parser.add_argument("--bytes", type=float, default=0.2 if quick else 0.5, help="factor for all sizes")
    parser.add_argument("--runtime", type=float, default=0.05 if quick else 0.1, help="of each function, in seconds")
    parser.add_argument("--placement", choices=("planned", "hash", "faasflow"), default="planned")
    parser.add_argument("--link-ms", type=float, default=0.0, help="time of a message, in ms")
    given = parser.parse_args(arguments)
    found: dict[tuple[str, str, str], tuple[float, float, float]] = {}
    with tempfile.TemporaryDirectory(prefix="weftrun-experiment-") as folder:
        names = write_workflows(Path(folder), given.runtime, given.bytes)
        read = {name: read_plan(Path(folder) / name / "flat_workflow.yaml")[0] for name in names}
        plans = {name: plan for name, plan in read.items() if isinstance(plan, Plan)}
        answers: dict[str, Any] = {}
        for data in ("store", "local"):
            with contextlib.ExitStack() as opened:
                opened.enter_context(late_link(given.link_ms / 1000))
                engines = {
                    control: opened.enter_context(_opened(folder, control, data, given.placement))
                    for control in _CONTROLS
                }
                for name, plan in plans.items():
                    samples = _alternating(engines, plan, given.runs)
                    for control, measured in samples.items():
                        if any(answers.setdefault(name, answer) != answer for *_, answer in measured):
                            raise AssertionError(f"{name} gave another result under control={control}, data={data}.")
                        found[name, control, data] = _medians(sample[:3] for sample in measured)
                    print(f"{name}, {data}: done", file=sys.stderr)
    return [_overheads(found, names, given), _ratios(found, names)]


def _opened(folder: str, control: str, data: str, placement: str) -> weftrun.Engine:
    return weftrun.open(
        f"sqlite:///{folder}/{control}-{data}.db", cluster=f"local:{_WORKERS}", sandboxes=_SANDBOXES, control=control,
        data=data, placement=placement,
    )  # fmt: skip


def _alternating(engines: dict[str, weftrun.Engine], plan: Plan, runs: int) -> dict[str, list[Any]]:
    """Run a plan on each engine in turn, so that what else the host does befalls all alike."""
    samples: dict[str, list[Any]] = {control: [] for control in engines}
    for n in range(_WARM_UP + runs):
        for control, engine in engines.items():
            measured = _measured(engine, plan)
            if n >= _WARM_UP:
                samples[control].append(measured)
    return samples


def write_workflows(folder: Path, runtime: float, factor: float) -> list[str]:
    """Write the workflows below a folder, and return their names."""
    sys.path.insert(0, str(_FOLDER))
    try:
        import science  # type: ignore[import-not-found]  # noqa: PLC0415  # an example, which is no package
    finally:
        sys.path.remove(str(_FOLDER))
    science.write(folder, runtime, factor)
    return sorted(science.WORKFLOWS)


def _measured(engine: weftrun.Engine, plan: Plan) -> tuple[float, float, float, Any]:
    """Run a plan once; return how long it took, its schedule overhead and its data overhead, in s, and its result."""
    function, args = start(plan, {})
    handle = engine.start(function, *args)
    answer = handle.result(timeout_s=300)
    handle.logs()  # writes what the trace has gathered
    steps = {str(step.id).partition("[")[0]: cast(StepView, step) for step in handle.steps()}
    root = steps[plan.name]
    assert root.settled_at is not None, "the Run has ended"
    assert root.entered_at is not None, "its body has run"
    took = root.settled_at - root.entered_at + root.waited_s
    data = sum(steps[node.name].read_s + steps[node.name].written_s for node in plan.nodes)
    return took, took - _critical_s(plan, steps), data, answer


def _critical_s(plan: Plan, steps: dict[str, StepView]) -> float:
    """Return the time in the bodies of the critical path, and in that of the Step that gives the result."""
    longest: dict[str, float] = {}
    for node in plan.nodes:
        longest[node.name] = steps[node.name].body_s + max((longest[name] for name in node.before), default=0.0)
    return max(longest.values()) + steps["results"].body_s


def _medians(samples: Iterable[tuple[float, float, float]]) -> tuple[float, float, float]:
    took, schedule, data = zip(*samples, strict=True)
    return statistics.median(took), statistics.median(schedule), statistics.median(data)


def _overheads(
    found: dict[tuple[str, str, str], tuple[float, float, float]], names: list[str], given: argparse.Namespace
) -> Table:
    title = (
        f"Medians of {given.runs} Runs after {_WARM_UP} warm-ups, placement {given.placement}, {_WORKERS} Workers of "
        f"{_SANDBOXES} Sandboxes on this host, messages held back for {given.link_ms:g} ms, "
        f"sizes x {given.bytes:g}, functions of {given.runtime:g} s"
    )
    table = Table(
        "overhead", title, ["workflow", "control", "data", "end to end ms", "schedule overhead ms", "data overhead ms"]
    )
    for name in names:
        for control, data in _SETTINGS:
            table.rows.append([name, control, data, *(1000 * value for value in found[name, control, data])])
    return table


def _ratios(found: dict[tuple[str, str, str], tuple[float, float, float]], names: list[str]) -> Table:
    columns = [
        "workflow", "schedule: worker against master %", "published %", "data: local against store %", "published %",
    ]  # fmt: skip
    notes = (
        "Schedule overhead is compared under local data, data overhead under worker control: each claim is one "
        "ablation. What differs from the paper: its master polls all workers for each function, ours does not; its "
        "store is CouchDB behind a link of 50 MB/s, ours is files in this host's page cache, so no link bounds it; "
        "all Workers share this host's processors: without --link-ms a message costs a fraction of a millisecond, and "
        "the rest of schedule overhead, entering and leaving Sandboxes, is the same in both. Values of up to 64 KiB "
        "travel in messages and count as no data."
    )
    table = Table("ratios", "What each setting saves", columns, notes=notes)
    ratios = [found[name, "worker", "local"][1] / found[name, "master", "local"][1] - 1 for name in names]
    for name in names:
        master, worker = found[name, "master", "local"][1], found[name, "worker", "local"][1]
        store, local = found[name, "worker", "store"][2], found[name, "worker", "local"][2]
        schedule, data = _PUBLISHED[name]
        table.rows.append([name, 100 * (worker / master - 1), -schedule, 100 * (local / store - 1), -data])
    table.rows.append(["mean", 100 * statistics.mean(ratios), -74.6, "", ""])
    return table
