"""Sandboxes that are kept, or made, although nothing needs them now: by which rules, and what came of it."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.limits import DEFAULT_LIMITS


class Warm(Struct, frozen=True):
    """Which Sandboxes are kept, or made, although nothing needs them now.

    Attributes:
        keep_alive_s: one that has had nothing to do for so many seconds is ended.
        bytes_max: what those that wait for work may hold together, of all code, in bytes: those that are worth least
            are ended. With a bound they don't count in `sandboxes`. None for no bound.
        ahead: whether Sandboxes are made shortly before calls that are expected, where pauses between calls that are
            longer than `keep_alive_s` are alike.
        is_measured: whether it is looked at what they hold, though nothing bounds it.
    """

    keep_alive_s: float = DEFAULT_LIMITS.sandbox_idle_s
    bytes_max: int | None = None
    ahead: bool = False
    is_measured: bool = False

    @property
    def measures(self) -> bool:
        """Whether anybody wants to know what Sandboxes hold."""
        return self.is_measured or self.bytes_max is not None


UNRULED = Warm()
MEASURED = Warm(is_measured=True)


class WarmCounts(Struct, frozen=True):
    """What the Sandboxes of a Worker hold that wait for work, and why others were ended or made.

    Attributes:
        waiting: Sandboxes that have nothing to do; `busy` those that have.
        held_bytes: what would be free if those that wait were ended, in bytes, as it was measured last.
        bytes_max: what they may hold; None for no bound.
        ended: how many were ended while they waited, by why: `idle` for long, for `memory`, to make `room`.
        made: how many were made though nothing waited for them, by why: `kept` as declared, or `ahead` of calls.
        cold: how many were made for what waited, by why; see `model.work.Cold`.
    """

    waiting: int = 0
    busy: int = 0
    held_bytes: int = 0
    bytes_max: int | None = None
    ended: dict[str, int] = {}
    made: dict[str, int] = {}
    cold: dict[str, int] = {}
