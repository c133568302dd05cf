"""The one place that chooses adapters from options and wires an engine."""

from weftrun.assembly.engine import EmbeddedCore, open_core, open_engine, sandboxes_by_default
from weftrun.assembly.places import Place, made_sentence, place_of
from weftrun.assembly.reader import Look, Reader, decide_emit, open_reader
from weftrun.assembly.retrying import check_undone
from weftrun.assembly.schedules import check_timetable, schedule_book, times_of
from weftrun.assembly.sinks import checked_sinks

__all__ = [
    "EmbeddedCore",
    "Look",
    "Place",
    "Reader",
    "check_timetable",
    "check_undone",
    "checked_sinks",
    "decide_emit",
    "made_sentence",
    "open_core",
    "open_engine",
    "open_reader",
    "place_of",
    "sandboxes_by_default",
    "schedule_book",
    "times_of",
]
