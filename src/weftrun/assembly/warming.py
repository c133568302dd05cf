"""Which Sandboxes are to be there though nothing needs them: what a program says of it, checked."""

from __future__ import annotations

from typing import Any

from weftrun.model.errors import UsageError
from weftrun.model.warm import Warm

_KEEP_ALIVE_S = (0.1, 1e6)
_KEPT_MAX = 1_000


def checked_warm(given: object) -> Warm:
    """Return rules that can be kept.

    Raises:
        UsageError: they are no `Warm`, or a value in them is not what it takes.
    """
    if not isinstance(given, Warm):
        raise UsageError(f"warm={given!r} is not known: it takes a weftrun.Warm(...).")
    warm: Any = given  # whose fields nobody has checked
    least, most = _KEEP_ALIVE_S
    kept_s, bytes_max = warm.keep_alive_s, warm.bytes_max
    if isinstance(kept_s, bool) or not isinstance(kept_s, int | float) or not least <= kept_s <= most:
        raise UsageError(f"Warm(keep_alive_s={kept_s!r}): it takes {least:g} to {most:,.0f} seconds.")
    if bytes_max is not None and (type(bytes_max) is not int or bytes_max < 0):
        raise UsageError(f"Warm(bytes_max={bytes_max!r}): it takes a whole number of bytes from 0, or None.")
    if type(warm.ahead) is not bool or type(warm.is_measured) is not bool:
        raise UsageError(f"Warm(ahead={warm.ahead!r}, is_measured={warm.is_measured!r}): they take True or False.")
    return given


def checked_count(count: object) -> int:
    """Return how many Sandboxes are to be kept warm.

    Raises:
        UsageError: it is no such number.
    """
    if type(count) is not int or not 0 <= count <= _KEPT_MAX:
        raise UsageError(f"{count!r} is not a number of Sandboxes to keep warm: it takes 0 to {_KEPT_MAX:,}.")
    return count
