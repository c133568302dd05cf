"""Which of the objects that are kept is given up for want of room: LRU, LFU, GDSF, any one, or none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, Literal

Evict = Literal["lru", "lfu", "gdsf", "random", "none"]
"""What `weftrun.share(evict=...)` takes."""
EVICTS: Final = ("lru", "lfu", "gdsf", "random", "none")


class Use:
    """How one object was used.

    Attributes:
        used_at: when it was asked for last, as the number of the call.
        uses: how often it was asked for.
        cost_s: how long it took to be made, in seconds.
        size: how large it is, in units of the author's.
        priority: what GDSF reckons.
    """

    __slots__ = ("cost_s", "priority", "size", "used_at", "uses")

    def __init__(self) -> None:
        self.used_at = self.uses = 0
        self.cost_s = self.priority = 0.0
        self.size = 1.0


class Eviction:
    """Chooses what is given up. Its caller keeps others out while it is asked.

    GDSF (Greedy-Dual-Size-Frequency; Cherkasova, HPL-98-69) keeps what is used often, took long to be made and is
    small. Its clock goes on to the priority of what was given up last, so that what was once used often grows old.
    """

    def __init__(self, policy: Evict = "lru") -> None:
        self.policy = policy
        self._calls = 0
        self._clock = 0.0
        self._draw = random.Random()

    def used(self, use: Use) -> None:
        """Note that an object was asked for."""
        self._calls += 1
        use.used_at = self._calls
        use.uses += 1
        self.reckon(use)

    def reckon(self, use: Use) -> None:
        """Note what an object has cost, once that is known."""
        use.priority = self._clock + use.uses * use.cost_s / use.size

    def victim(self, uses: Sequence[Use]) -> int:
        """Return the position of what is to be given up."""
        places = range(len(uses))
        match self.policy:
            case "random":
                return self._draw.choice(places)
            case "lfu":
                return min(places, key=lambda place: (uses[place].uses, uses[place].used_at))
            case "gdsf":
                chosen = min(places, key=lambda place: (uses[place].priority, uses[place].used_at))
                self._clock = uses[chosen].priority
                return chosen
            case _:
                return min(places, key=lambda place: uses[place].used_at)
