"""The one place that chooses adapters from options and wires an engine.

What opens an engine is imported when it is asked for: who only reads a Journal does not wait for it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from weftrun.assembly.places import Place, made_sentence, place_of
from weftrun.assembly.queues import queue_book
from weftrun.assembly.reader import Look, Reader, decide_emit, open_reader
from weftrun.assembly.retrying import check_fork, check_undone
from weftrun.assembly.schedules import check_timetable, schedule_book, times_of
from weftrun.assembly.sinks import checked_sinks

if TYPE_CHECKING:
    from weftrun.assembly.engine import EmbeddedCore, open_core, open_engine, sandboxes_by_default
else:

    def __getattr__(name: str) -> object:
        """Import what opens an engine."""
        if name not in _OF_ENGINES:
            raise AttributeError(f"module 'weftrun.assembly' has no attribute {name!r}")
        found = globals()[name] = getattr(importlib.import_module("weftrun.assembly.engine"), name)
        return found

    _OF_ENGINES = frozenset({"EmbeddedCore", "open_core", "open_engine", "sandboxes_by_default"})

__all__ = [
    "EmbeddedCore",
    "Look",
    "Place",
    "Reader",
    "check_fork",
    "check_timetable",
    "check_undone",
    "checked_sinks",
    "decide_emit",
    "made_sentence",
    "open_core",
    "open_engine",
    "open_reader",
    "place_of",
    "queue_book",
    "sandboxes_by_default",
    "schedule_book",
    "times_of",
]
