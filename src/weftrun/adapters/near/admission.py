"""Which calls a storage role takes: as many at once as it has slots, a few more that wait, none that is too much."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from weftrun.adapters.near.processors import ProcessorGate

_WAITING_A_SLOT: Final = 4


class NearAdmission:
    """Lets calls in. Those that find no slot wait, a few for each slot and for a bounded time; the rest is refused.

    Attributes:
        slots: how many run at once.
    """

    def __init__(self, slots: int | None = None, *, wait_s: float = 1.0, cpu_max: float | None = None) -> None:
        """Let in as many at once as there are slots.

        Args:
            slots: default is the processors that this process may use. 0 refuses all.
            wait_s: longest time for which one waits for a slot, in seconds.
            cpu_max: take none while more than this share of the host's processors is busy; None takes them anyway.
        """
        self.slots = len(os.sched_getaffinity(0)) if slots is None else slots
        self._gate = None if cpu_max is None else ProcessorGate(cpu_max)
        self._wait_s = wait_s
        self._free = threading.Semaphore(self.slots)
        self._counting = threading.Lock()
        self._waiting = 0

    @contextmanager
    def entered(self) -> Iterator[str]:
        """Hold a slot within; give the reason where there is none, or nothing."""
        if self._gate is not None and not self._gate.is_open():
            yield "the processors of the storage role are busy"
        elif not self._admitted():
            yield "the storage role is busy"
        else:
            try:
                yield ""
            finally:
                self._free.release()

    def _admitted(self) -> bool:
        if self.slots == 0:
            return False
        with self._counting:
            if self._waiting >= self.slots * _WAITING_A_SLOT:
                return False
            self._waiting += 1
        try:
            return self._free.acquire(timeout=self._wait_s)
        finally:
            with self._counting:
                self._waiting -= 1
