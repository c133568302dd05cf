"""A process runs in front of others for a moment (strategy `sfs`)."""

from __future__ import annotations

import os

from weftrun.model.errors import Unsupported

_PRIORITY = 1
"""The lowest of the real-time class, which is above all processes that are in none."""


def put_in_front(pid: int) -> None:
    """Give a process the lowest real-time priority, which it gives back by itself; what it starts does not get it.

    Raises:
        OSError: it may not have it, or is gone.
    """
    os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_PRIORITY))


def check_priorities() -> None:
    """Look whether this process may put others in front.

    Raises:
        Unsupported: it may not.
    """
    try:
        put_in_front(0)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    except OSError as error:
        raise Unsupported(
            "strategy=sfs gives processes a real-time priority for a moment, which takes the capability CAP_SYS_NICE: "
            "run as root, or take another strategy."
        ) from error
