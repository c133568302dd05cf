"""The time of this host, and pauses."""

from __future__ import annotations

import time
from time import CLOCK_BOOTTIME, clock_gettime


class WallClock:
    """Seconds since the epoch that never go back.

    The wall clock is read once; from then on the time since boot is added, so that neither a correction of the clock
    nor a leap turns back what the engine records. CLOCK_BOOTTIME, unlike the monotonic clock, goes on while the host
    sleeps, so that a Timer set before is due when the host wakes.
    """

    __slots__ = ("_offset_s",)

    def __init__(self) -> None:
        self._offset_s = time.time() - clock_gettime(CLOCK_BOOTTIME)

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._offset_s + clock_gettime(CLOCK_BOOTTIME)


def pause(seconds: float) -> None:
    """Stop the calling thread for so many seconds. Handed to adapters that wait by themselves."""
    time.sleep(seconds)


def wall() -> float:
    """Return what the clock of this host shows now, in seconds since the epoch; it may be set back or forward."""
    return time.time()
