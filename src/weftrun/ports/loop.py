"""The loop: time, turns and slow work. The simulator has one of its own, under virtual time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

FOREIGN_LANE = "foreign "
"""How the names of lanes begin whose work is code of others, which may hang."""


class Handle(Protocol):
    """Something that was scheduled."""

    def cancel(self) -> None:
        """Do not call it. Idempotent."""


class Loop(Protocol):
    """Calls back, one call at a time, in one thread. Only `call_from_thread` may be called from elsewhere."""

    def now(self) -> float:
        """Return the time, in seconds since the epoch, never less than it returned before."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what is running and what was scheduled before."""

    def call_at(self, at: float, callback: Callable[[], None]) -> Handle:
        """Call back at a time (seconds since the epoch) or a little later."""

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Call back in the loop's thread."""

    def offload(self, work: Callable[[], None], done: Callable[[], None], *, lane: str) -> None:
        """Run `work` outside the loop, then `done` on the loop. Works of one lane run in order, one at a time.

        `work` must not raise: it keeps its result, or its error, for `done`. A loop that ends finishes the work of all
        lanes; of those whose names begin with `FOREIGN_LANE` it waits only for what ends soon.
        """

    def idle(self) -> bool:
        """Say whether nothing else is waiting to be called now, as far as can be told cheaply."""
