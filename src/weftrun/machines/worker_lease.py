"""Until when the Workers of an engine may enter bodies, and which of them count as dead.

What an engine grants to a Worker never reaches further than a sign of life of that Worker plus the time to live. So
when a Worker has been silent for so long, it enters nothing more (O3, W6), also where nobody can end it: its host may
be cut off, and go on. Only then it is declared dead, and what it had is done elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from weftrun.model.ids import WorkerId

_LOOKS = 3


class WorkersSeen(Struct, frozen=True, gc=False):
    """What follows from a look at all Workers.

    Attributes:
        dead: those that were silent for too long.
        next_at: when to look again, in seconds since the epoch.
    """

    dead: tuple[WorkerId, ...]
    next_at: float


class _Granted(Struct, eq=False):
    """A Worker: when it joined, and when it was last heard of, if ever."""

    joined_at: float
    heard_at: float | None = None


class WorkerLeases:
    """Grants time to Workers.

    Args:
        ttl_s: how long a Worker may be silent, in seconds.
        start_s: how long it may take to its first sign of life, in seconds.
    """

    def __init__(self, ttl_s: float, start_s: float) -> None:
        self._ttl_s = ttl_s
        self._start_s = start_s
        self._workers: dict[WorkerId, _Granted] = {}
        self._look_at: float | None = None

    def joined(self, worker: WorkerId, now: float) -> None:
        """A Worker is being started."""
        self._workers[worker] = _Granted(now)

    def left(self, worker: WorkerId) -> None:
        """A Worker is gone."""
        self._workers.pop(worker, None)

    def until(self, worker: WorkerId, bound: float) -> float:
        """Return until when a Worker may enter bodies: not longer than the engine itself, whose bound is given."""
        return min(bound, self._patience_ends(self._workers[worker]))

    def _patience_ends(self, granted: _Granted) -> float:
        if granted.heard_at is None:
            return granted.joined_at + self._start_s
        return granted.heard_at + self._ttl_s

    def look(self, now: float, heard: Mapping[WorkerId, float]) -> WorkersSeen:
        """Take the last signs of life, in seconds since the epoch, and say who is dead.

        Nobody is declared dead at a look that comes much too late: this engine was frozen itself, and has heard nobody.
        """
        for worker, at in heard.items():
            if worker in self._workers:
                self._workers[worker].heard_at = at
        slept = self._look_at is not None and now > self._look_at + self._ttl_s
        dead = () if slept else tuple(w for w, granted in self._workers.items() if now > self._patience_ends(granted))
        self._look_at = now + self._ttl_s / _LOOKS
        return WorkersSeen(dead, self._look_at)
