"""Whether a signal is one that a Run waits for, before it is sent: by its name, and by the type in the trace."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

import msgspec

from weftrun.model.errors import SignalRefused
from weftrun.sdk.json_fit import named, why_unfit
from weftrun.sdk.waiting import Json
from weftrun.views.trace import Traced, awaited_names, told_types


def judged_signal(
    run: str, name: str, value: object, waiting_for: str | None, read_trace: Callable[[], Sequence[Traced]]
) -> str:
    """Return what is to be said to whoever sends a signal to a Run that waits; mostly nothing.

    Args:
        value: as it was given: `Json`, or an author's object.
        waiting_for: what the Run waits for; see `RunInfo.waiting_for`.
        read_trace: returns its trace; called only where the Run waits for this name.

    Raises:
        SignalRefused: the value is not of the type that the Run waits for, as far as that is known.
    """
    names = awaited_names(waiting_for)
    if not names:
        return ""
    if name not in names:
        return (
            f"No wait for the signal {name!r} is open: Run {run} waits for {', '.join(map(repr, names))}. It is kept "
            "until the Run waits for it."
        )
    schemas = told_types(name, read_trace())
    fault = _fault(value, schemas)
    if fault:
        wanted = " or ".join(dict.fromkeys(named(each, each.get("$defs", {})) for each in schemas))
        raise SignalRefused(f"The signal {name!r} was not sent to Run {run}, which waits for {wanted}: {fault}.")
    return ""


def _fault(value: object, schemas: Sequence[dict[str, Any]]) -> str:
    """Return why a value is of none of these types; empty where it is of one, or that can't be told."""
    ways: list[Any] = []
    if isinstance(value, Json):
        ways.append(json.loads(value.text))
    else:
        try:
            plain = msgspec.to_builtins(value, str_keys=True, enc_hook=_plain)
        except Exception:  # noqa: BLE001  # an author's object may raise anything, or say nothing that JSON has
            return ""
        ways += [plain, _without_bools(plain)]  # in Python a bool is an int, too
    fault = ""
    for way in ways:
        for schema in schemas:
            found = why_unfit(way, schema)
            if not found:
                return ""
            fault = fault or found
    return fault


def _plain(value: Any) -> Any:
    if isinstance(value, PurePath):
        return str(value)
    raise NotImplementedError


def _without_bools(value: Any) -> Any:
    match value:
        case bool():
            return int(value)
        case list() | tuple():
            return [_without_bools(item) for item in value]
        case dict():
            return {key: _without_bools(item) for key, item in value.items()}
    return value
