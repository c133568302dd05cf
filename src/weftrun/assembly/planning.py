"""What plans rest on: what earlier Runs of a workflow took, as the Journal has it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from weftrun.assembly.places import Place
from weftrun.machines.placement import Planner, make_plan
from weftrun.model.errors import JournalError
from weftrun.model.placement import Expected, Grouping, Placement, PlanStep, PlanWorker
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Row, Started
from weftrun.ports.journal import JournalReader
from weftrun.ports.loop import Loop
from weftrun.sdk.wiring import Wired
from weftrun.views.plan import Links, PlanView, plan_view
from weftrun.views.taken import taken

_RUNS_TRIED: Final = 5
"""Newest Runs of a Function among which one with the same label is looked for."""


class Planning:
    """Tells a planner what earlier Runs took, once for each workflow, before the first Run of it here."""

    def __init__(self, place: Place, loop: Loop, planner: Planner) -> None:
        self._place = place
        self._loop = loop
        self._planner = planner
        self._recalled: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def recall(self, function: FunctionSpec, expected: Mapping[str, Expected]) -> None:
        """Look for the last Run of a workflow, in the thread of whoever starts one; what is `expected` fills gaps."""
        workflow = (function.name, function.label)
        with self._lock:
            if workflow in self._recalled or not function.kind.is_workflow:
                return
            self._recalled.add(workflow)
        found: Mapping[str, Expected] = {}
        with contextlib.suppress(JournalError):  # a plan may be the worse for it, no Run fails
            reader = self._place.open_to_read()
            try:
                _, found = last_run(reader, workflow)
            finally:
                reader.close()

        def tell() -> None:
            self._planner.expect(workflow, found)
            self._planner.expect(workflow, expected)

        self._loop.call_from_thread(tell)


def last_run(reader: JournalReader, workflow: tuple[str, str]) -> tuple[str, Mapping[str, Expected]]:
    """Return the last Run of a workflow that succeeded, and what its Steps took, by label; nothing where none has."""
    name, label = workflow
    for info in reader.runs(status="succeeded", function=name, prefix="", before=None, limit=_RUNS_TRIED):
        rows = reader.load(info.uid)
        if _label(rows) == label:
            return info.id, taken(rows)
    return "", {}


def planned(
    workflow: str,
    graph: Sequence[Wired],
    told: Mapping[str, Expected],
    measured: Mapping[str, Expected],
    *,
    placement: Placement,
    workers: int,
    places: int,
    links: Links,
    run: str,
) -> PlanView:
    """Return the plan of a graph for so many Workers; what was `measured` goes before what a file has `told`.

    Args:
        run: id of the Run that was measured; empty for none.
    """
    steps: list[PlanStep] = []
    known_by: list[str] = []
    for wired in graph:
        known_by.append("run" if wired.label in measured else "file" if wired.label in told else "default")
        expected = told.get(wired.label, Expected())
        if (took := measured.get(wired.label)) is not None:
            expected = replace(expected, runtime_s=took.runtime_s, output_bytes=took.output_bytes)
        edges = tuple((taken, steps[taken].expected.output_bytes) for taken in wired.takes)
        steps.append(PlanStep(wired.id, expected, edges, is_elsewhere=not wired.is_single))
    there = [PlanWorker(places)] * workers
    plan = make_plan(placement, steps, there, links.network, Grouping())
    return plan_view(workflow, plan, steps, known_by, workers=workers, places=places, run=run, links=links)


def _label(rows: Sequence[Row]) -> str:
    started = rows[0].records[0] if rows else None
    return started.function.label if isinstance(started, Started) else ""
