"""How fast values go from one Worker to another, as it was measured when they came."""

from __future__ import annotations

from weftrun.model.hosts import ENGINE
from weftrun.model.ids import WorkerId

_LEAST_BYTES = 256 * 1024
"""What is smaller tells of the delay of a link, and not of its bandwidth."""
_KEPT = 0.9
"""The share of earlier measurements that each new one leaves."""


class LinkSpeed:
    """Measures links by the values that cross them.

    A value that was asked for while another one came over the same link has waited: it counts from then on.

    Attributes:
        values: how many have been counted.
    """

    def __init__(self) -> None:
        self.values = 0
        self._came_at: dict[tuple[WorkerId, WorkerId], float] = {}
        self._bytes = self._seconds = 0.0

    def crossed(self, source: WorkerId, worker: WorkerId, nbytes: int, began_at: float, came_at: float) -> None:
        """Take in a value that has come from one Worker to another; those of the engine are passed by.

        Args:
            began_at, came_at: when it was asked for, and when it was there, in seconds since the epoch.
        """
        link = source, worker
        before = self._came_at.get(link, 0.0)
        self._came_at[link] = max(before, came_at)
        seconds = came_at - max(began_at, before)
        if source != ENGINE and nbytes >= _LEAST_BYTES and seconds > 0:
            self.values += 1
            self._bytes = self._bytes * _KEPT + nbytes
            self._seconds = self._seconds * _KEPT + seconds

    @property
    def bytes_s(self) -> float:
        """Bytes a second over a link, the last values counting most; 0 where nothing was measured."""
        return self._bytes / self._seconds if self._seconds else 0.0
