"""What an engine says to all its guests without a message: when bodies may be entered, that it lives, who stays awake.

And whether a Batch may be entered that was sent before what it waits for was durable. One page of memory that only
the engine can write. A frozen engine says nothing more, and what it said runs out.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from time import CLOCK_BOOTTIME, CLOCK_MONOTONIC, clock_gettime
from typing import Final

_BYTES: Final = mmap.PAGESIZE
_ENTER_UNTIL, _ALIVE_UNTIL, _FENCES, _LET, _WITHDRAWN, _PLACES, _AWAKE = range(7)
_PLACES_MAX: Final = 64
_SEAL_FUTURE_WRITE: Final = 0x10


def host_clock_s() -> float:
    """Return the time of this host in seconds, its sleep counted: the same in all its processes."""
    return clock_gettime(CLOCK_BOOTTIME)


class LeasePage:
    """The mapped page; both times are clocks of this host, which mean the same in all processes on it.

    A guest maps it before it takes work; of a fence that comes later it knows by the number of fences.
    """

    __slots__ = ("_fences", "_last", "_memory", "_next", "_places", "_times", "descriptor")

    def __init__(self, descriptor: int, *, writable: bool = False) -> None:
        """Map the page behind `descriptor`."""
        prot = mmap.PROT_READ | mmap.PROT_WRITE if writable else mmap.PROT_READ
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _BYTES, flags=mmap.MAP_SHARED, prot=prot)
        self._times = memoryview(self._memory).cast("d")
        self._fences = self._times[_FENCES]
        self._places = self._times[_AWAKE : _AWAKE + int(self._times[_PLACES])]
        self._last = self._next = 0

    @classmethod
    def made(cls, places: int = _PLACES_MAX) -> LeasePage:
        """Make a page that is the caller's to write, and nobody else's; nothing is bounded yet.

        Args:
            places: how many guests may stay awake for their next message at once.
        """
        descriptor = os.memfd_create("weftrun-lease", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(descriptor, _BYTES)
        os.pwrite(descriptor, struct.pack("d", min(places, _PLACES_MAX)), _PLACES * 8)
        lease_page = cls(descriptor, writable=True)
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL | _SEAL_FUTURE_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        lease_page.enter_for(float("inf"))
        lease_page.live_for(float("inf"))
        return lease_page

    def enter_for(self, seconds: float) -> None:
        """Let bodies be entered during the next seconds, the sleep of the host counted."""
        self._times[_ENTER_UNTIL] = host_clock_s() + seconds

    def may_enter(self) -> bool:
        """Say whether a body may be entered now by whoever mapped the page here."""
        return self.may_enter_at(host_clock_s())

    def may_enter_at(self, now: float) -> bool:
        """Say the same for who has just read the clock, `CLOCK_BOOTTIME`, in seconds."""
        times = self._times
        return now < times[_ENTER_UNTIL] and self._fences == times[_FENCES]

    def fence(self) -> None:
        """Let nobody enter a body any more who has mapped the page so far."""
        self._times[_FENCES] += 1

    def let_stay_awake(self, guest: int) -> None:
        """Let a guest stay awake for its next message, in the place of the one that was let do so longest ago."""
        if guest != self._last and guest not in self._places:
            self._places[self._next] = guest
            self._next = (self._next + 1) % len(self._places)
        self._last = guest

    def may_stay_awake(self, guest: int) -> bool:
        """Say whether a guest may look for its next message without sleeping."""
        return guest in self._places

    def let(self, batch: int) -> None:
        """Let a prepared Batch be entered. All of lower numbers were let, or their guests know that they are not."""
        self._times[_LET] = batch

    def withdraw(self, batch: int) -> None:
        """Let a prepared Batch be entered never. None may be prepared before its guest has said that it knows."""
        self._times[_WITHDRAWN] = batch

    def is_let(self, batch: int) -> bool | None:
        """Say whether a prepared Batch may be entered; None where that is not decided yet."""
        times = self._times
        if times[_WITHDRAWN] == batch:
            return False
        return True if times[_LET] >= batch else None

    def live_for(self, seconds: float) -> None:
        """Say that the engine lives, and will say so again within these seconds, the sleep of the host not counted."""
        self._times[_ALIVE_UNTIL] = clock_gettime(CLOCK_MONOTONIC) + seconds

    def life_left_s(self) -> float:
        """Return in how many seconds the engine counts as frozen; not above 0 where it does already."""
        return self._times[_ALIVE_UNTIL] - clock_gettime(CLOCK_MONOTONIC)

    def close(self) -> None:
        """Unmap the page and close its descriptor."""
        self._places.release()
        self._times.release()
        self._memory.close()
        os.close(self.descriptor)
