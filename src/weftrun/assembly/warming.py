"""Which Sandboxes are to be there though nothing needs them: what a program says of it, checked."""

from __future__ import annotations

from typing import Any

from weftrun.model.errors import UsageError
from weftrun.model.warm import WarmRules

_KEEP_ALIVE_S = (0.1, 1e6)
_KEPT_MAX = 1_000


def warm_rules(bytes_max: object, prewarm: object, *, is_measured: bool = False) -> WarmRules:
    """Return the rules that a program asks for.

    Raises:
        UsageError: a value is not what it takes.
    """
    if bytes_max is not None and (type(bytes_max) is not int or bytes_max < 0):
        raise UsageError(f"warm_bytes_max={bytes_max!r} is not a number of bytes: it takes a whole number from 0.")
    if type(prewarm) is not bool:
        raise UsageError(f"prewarm={prewarm!r} is not known: it takes True or False.")
    return WarmRules(bytes_max, prewarm, is_measured)


def checked_keep_alive(keep_alive_s: Any) -> float:
    """Return how long an idle Sandbox is kept.

    Raises:
        UsageError: it is no such time.
    """
    least, most = _KEEP_ALIVE_S
    is_number = isinstance(keep_alive_s, int | float) and not isinstance(keep_alive_s, bool)
    if not is_number or not least <= keep_alive_s <= most:
        raise UsageError(f"keep_alive_s={keep_alive_s!r} is not a time: it takes {least:g} to {most:,.0f} seconds.")
    return float(keep_alive_s)


def checked_count(count: object) -> int:
    """Return how many Sandboxes are to be kept warm.

    Raises:
        UsageError: it is no such number.
    """
    if type(count) is not int or not 0 <= count <= _KEPT_MAX:
        raise UsageError(f"{count!r} is not a number of Sandboxes to keep warm: it takes 0 to {_KEPT_MAX:,}.")
    return count
