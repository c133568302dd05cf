"""What an engine is given as its sinks, looked at before it is opened."""

from __future__ import annotations

from collections.abc import Mapping

from weftrun.model.errors import UsageError
from weftrun.ports.sinks import Sink

_MEMBERS = ("deliver", "close", "dedupes_for_s", "keeps_order")


def checked_sinks(sinks: object) -> dict[str, Sink]:
    """Return sinks by their names, none for None.

    Raises:
        UsageError: they are no dict, or one of them is no sink.
    """
    if not isinstance(sinks, Mapping | None):
        raise UsageError(f"sinks is of type {type(sinks).__qualname__}: give a dict of sinks by their names.")
    found = dict(sinks or {})
    for name, sink in found.items():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise UsageError(f"sinks has the name {name!r}: a sink's name is printable text, as emit(...) takes it.")
        if isinstance(sink, type):
            raise UsageError(f"sinks[{name!r}] is the class {sink.__qualname__}: make one of it.")
        missing = [member for member in _MEMBERS if not hasattr(sink, member)]
        if missing:
            raise UsageError(
                f"sinks[{name!r}] is no sink: {type(sink).__qualname__} has no {missing[0]}. weftrun.sinks.Sink says "
                "what one has."
            )
        window_s = sink.dedupes_for_s
        if not isinstance(window_s, int | float) or not window_s >= 0:
            raise UsageError(f"sinks[{name!r}] declares dedupes_for_s={window_s!r}: it takes seconds, 0 or more.")
    return found
