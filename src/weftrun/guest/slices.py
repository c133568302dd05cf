"""A time slice in front of all other processes, and then among them (SFS, SC'22)."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator


@contextlib.contextmanager
def time_slice(seconds: float) -> Iterator[None]:
    """Let what is inside keep the kernel's real-time class, first come, first served, for so long a time of computing.

    The engine has put this process there, which may only leave it, and goes on as any other then. Waiting does not
    count, so that what blocks comes back to the rest of its slice. Code in C notices the end of its slice when it
    comes back to Python. What is started inside is not in front.
    """

    def demote(_number: int, _frame: object) -> None:
        os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))

    before = signal.signal(signal.SIGPROF, demote)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        demote(0, None)
        signal.signal(signal.SIGPROF, before)
