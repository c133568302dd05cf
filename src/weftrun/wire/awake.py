"""Whether to stay awake for the next message, or to sleep until it comes.

A thread that sleeps is woken in tens of microseconds where its processor was halted, and goes on with cold caches: the
next hundred microseconds of Python take twice as long. Where messages follow each other that closely, looking for the
next one costs less processor time than sleeping, and half the wait. So either end of a channel looks as long as a sleep
would cost, and only where the last message came within that time (competitive spinning: Karlin et al., SOSP '91).
"""

from __future__ import annotations


class Awake:
    """Learns from one wait for the next. Without a clock: whoever waits has one.

    Args:
        limit_s: longest time to look before sleeping, in seconds; 0 always sleeps.
    """

    __slots__ = ("_limit_s", "seconds")

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self.seconds = 0.0
        """How long to look this time."""

    def waited(self, seconds: float) -> None:
        """Say how long the last wait took."""
        self.seconds = self._limit_s if seconds < self._limit_s else 0.0
