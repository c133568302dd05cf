"""What is known of the Sandboxes of each profile: what one costs, holds, and when the next call is expected."""

from __future__ import annotations

from collections import Counter, deque

from msgspec import Struct, field

from weftrun.model.warm import UNRULED, Warm
from weftrun.model.work import Cold

_PAUSES = 8
"""So many pauses are remembered; fewer than half as many say nothing."""
_EARLY, _LATE = 0.9, 1.1
"""A call is expected from the shortest of them times the first, to the longest times the second."""
_COST_S = 0.1
"""What a cold start is taken to cost before one was seen."""
_WEIGHT = 0.5

Pooled = tuple[int, bool]
"""A profile, and whether bodies of workflows run there."""


class Pool(Struct, eq=False):
    """What is known of the Sandboxes of one profile.

    Attributes:
        kept: how many are to be there at least, by who wants it.
        uses: Batches that they were given.
        cost_s: moving average of what making one took; `held_bytes` is what one held that was measured last.
        last_at: when the last call came; 0 before the first.
        pauses: the last ones between two calls that were longer than the keep-alive time.
        busy_most: how many were busy at once since the last of these; `expected` how many were before it.
        not_before: none is made ahead before, since the last one could not be made.
    """

    kept: dict[str, int] = {}
    uses: int = 0
    cost_s: float = _COST_S
    held_bytes: int = 0
    last_at: float = 0.0
    pauses: deque[float] = field(default_factory=lambda: deque(maxlen=_PAUSES))
    busy_most: int = 1
    expected: int = 1
    not_before: float = 0.0

    @property
    def least(self) -> int:
        """How many are to be there at least: they serve whoever wants one, so that the largest number counts."""
        return max(self.kept.values(), default=0)

    def cost(self, took_s: float) -> None:
        """Note what making one took."""
        self.cost_s = took_s if self.cost_s == _COST_S else (1 - _WEIGHT) * self.cost_s + _WEIGHT * took_s

    def came(self, now: float, idle_s: float) -> None:
        """Note that a call came, after a pause or not."""
        pause_s = now - self.last_at
        if self.last_at and pause_s > idle_s:
            self.pauses.append(pause_s)
            self.expected, self.busy_most = self.busy_most, 1
        self.last_at = now

    def window(self, idle_s: float) -> tuple[float, float] | None:
        """Return from when to when the next call is expected; None where that can't be said."""
        if len(self.pauses) < _PAUSES // 2:
            return None
        shortest, longest = min(self.pauses), max(self.pauses)
        begin_s = max(idle_s, _EARLY * shortest - self.cost_s)
        end_s = _LATE * longest
        if end_s - begin_s > end_s / 2:
            return None
        return self.last_at + begin_s, self.last_at + end_s

    def wanted(self, now: float, idle_s: float) -> tuple[int, Cold]:
        """Return how many Sandboxes are to be there though nothing waits, and why."""
        window = self.window(idle_s) if self.pauses else None
        expected = self.expected if window is not None and window[0] <= now < window[1] else 0
        return (expected, "ahead") if expected > self.least else (self.least, "kept")


class Pools:
    """What the machine of a Worker remembers of Sandboxes that wait.

    Attributes:
        pools: by profile.
        clock: of greedy-dual: what the Sandbox that was ended last for memory was worth.
        ended, made, cold: see `WarmCounts`.
        is_on: whether anything is to be noted of what Sandboxes do.
    """

    def __init__(self, rules: Warm = UNRULED) -> None:
        self.rules = rules
        self.pools: dict[Pooled, Pool] = {}
        self.clock = 0.0
        self.ended: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.cold: Counter[str] = Counter()
        self.is_on = rules.measures or rules.ahead

    def pool(self, profile: int, *, for_bodies: bool) -> Pool:
        """Return the pool of a profile."""
        found = self.pools.get((profile, for_bodies))
        if found is None:
            found = self.pools[profile, for_bodies] = Pool()
        return found
