"""Sandboxes that are kept, or made, although nothing needs them now: by which rules, and what came of it."""

from __future__ import annotations

from msgspec import Struct


class WarmRules(Struct, frozen=True):
    """What is kept warm beside what the keep-alive time keeps.

    Attributes:
        memory_bytes_max: what Sandboxes that wait for work may hold together, in bytes; None for no bound. With a
            bound, they don't count as Sandboxes that run Functions.
        ahead: whether Sandboxes are made for calls that are expected, by the pauses between those that came.
        is_measured: whether memory is looked at though nothing bounds it.
    """

    memory_bytes_max: int | None = None
    ahead: bool = False
    is_measured: bool = False

    @property
    def measures(self) -> bool:
        """Whether anybody wants to know what Sandboxes hold."""
        return self.is_measured or self.memory_bytes_max is not None


UNRULED = WarmRules()
MEASURED = WarmRules(is_measured=True)


class WarmCounts(Struct, frozen=True, array_like=True):
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
    ended: tuple[tuple[str, int], ...] = ()
    made: tuple[tuple[str, int], ...] = ()
    cold: tuple[tuple[str, int], ...] = ()
