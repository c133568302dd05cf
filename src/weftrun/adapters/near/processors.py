"""Whether a host has processors to spare: judged over a second or more, with one mark to close and a lower to open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

_WINDOW_S: Final = 1.0
_OPENS_BELOW: Final = 0.8
"""Of the mark: the gate does not open and close with each call."""


class ProcessorTicks(NamedTuple):
    """What the kernel has counted.

    Attributes:
        at_s: when, on a clock that only goes on.
        busy: ticks in which processors worked.
        all: ticks of all processors.
    """

    at_s: float
    busy: int
    all: int


def of_host() -> ProcessorTicks:
    """Return what the kernel has counted for all processors of this host."""
    with open("/proc/stat", encoding="ascii") as file:
        counts = [int(count) for count in file.readline().split()[1:9]]
    return ProcessorTicks(time.monotonic(), sum(counts) - counts[3] - counts[4], sum(counts))


class ProcessorGate:
    """Lets calls in as long as processors are not too busy; any number of threads may ask it."""

    def __init__(self, busy_max: float, ticks: Callable[[], ProcessorTicks] = of_host) -> None:
        """Begin open.

        Args:
            busy_max: it closes where more than this share of all processors was busy, from 0 to 1.
            ticks: what the kernel has counted.
        """
        self._busy_max = busy_max
        self._ticks = ticks
        self._last = ticks()
        self._open = True
        self._lock = threading.Lock()

    def is_open(self) -> bool:
        """Say whether a call may come in. What was busy is judged over the time since it was judged last."""
        with self._lock:
            now = self._ticks()
            passed = now.all - self._last.all
            if now.at_s - self._last.at_s >= _WINDOW_S and passed > 0:
                busy = (now.busy - self._last.busy) / passed
                self._last = now
                self._open = busy <= (self._busy_max if self._open else self._busy_max * _OPENS_BELOW)
            return self._open
