"""Lengths of time as words of a command line: `90`, `15m`, `2h`, `7d`, `1w`."""

from __future__ import annotations

import re

from weftrun.model.errors import UsageError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


def seconds_of(option: str, text: str) -> int:
    """Return a length of time in seconds.

    Raises:
        UsageError: it is none; names the option that it was given to.
    """
    found = re.fullmatch(r"(\d+)([smhdw]?)", text.strip())
    if found is None:
        raise UsageError(f"{option} {text!r} is no length of time: give whole seconds, or 15m, 2h, 1d, 1w.")
    return int(found[1]) * _UNITS[found[2] or "s"]
