"""What plans rest on: what earlier Runs of a workflow took, as the Journal has it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import Final, cast, get_args

from weftrun.assembly.places import Place
from weftrun.machines.placement import Planner
from weftrun.model.errors import JournalError, UsageError
from weftrun.model.placement import Expected, Placement
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Row, Started
from weftrun.ports.journal import JournalReader
from weftrun.ports.loop import Loop
from weftrun.views.taken import taken

_RUNS_TRIED: Final = 5
"""Newest Runs of a Function among which one with the same label is looked for."""


def placement_of(text: str) -> Placement:
    """Return a way to place Steps.

    Raises:
        UsageError: there is no such way.
    """
    if text not in get_args(Placement):
        known = ", ".join(map(repr, get_args(Placement)))
        raise UsageError(f"placement={text!r} is not known: it takes one of {known}.")
    return cast("Placement", text)


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
                found = expected_of(reader, workflow)
            finally:
                reader.close()

        def tell() -> None:
            self._planner.expect(workflow, found)
            self._planner.expect(workflow, expected)

        self._loop.call_from_thread(tell)


def expected_of(reader: JournalReader, workflow: tuple[str, str]) -> dict[str, Expected]:
    """Return what the Steps of a workflow took in its last Run that succeeded, by label; empty where there is none."""
    name, label = workflow
    for info in reader.runs(status="succeeded", function=name, prefix="", before=None, limit=_RUNS_TRIED):
        rows = reader.load(info.uid)
        if _label(rows) == label:
            return taken(rows)
    return {}


def _label(rows: Sequence[Row]) -> str:
    started = rows[0].records[0] if rows else None
    return started.function.label if isinstance(started, Started) else ""
