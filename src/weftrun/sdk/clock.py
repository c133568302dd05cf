"""The clock of the author's own process, for what is never replayed: plain calls, local runs, lines of text.

The only file of the sdk that reads a clock. Inside a workflow's body time is that of the last outcome it observed.
"""

from __future__ import annotations

import time


def seconds() -> float:
    """Return the time, in seconds since the epoch."""
    return time.time()  # noqa: TID251  # nothing that is asked here is replayed


def date_and_time(at: float) -> str:
    """Return a time, in seconds since the epoch, as local time, e.g. `2026-11-21 14:02:09`."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def time_of_day() -> str:
    """Return the local time as text, e.g. `14:02:09`."""
    return time.strftime("%H:%M:%S")
