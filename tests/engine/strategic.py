"""Functions that tell where they ran, for tests of strategies."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

import weftrun
from weftrun import function, workflow


@dataclass(eq=False)
class Client:
    """A client that stands for one of a cloud service."""

    name: str


@function(effects="none")
def whereabouts(n: int, folder: str, meet: int) -> tuple[int, int, bool]:
    """Return, once so many are here, this process, its session, and whether it gets the same client twice."""
    Path(folder, str(n)).touch()
    while len(os.listdir(folder)) < meet:
        time.sleep(0.002)
    first = weftrun.shared(Client, "a")
    return os.getpid(), os.getsid(0), weftrun.shared(Client, "a") is first


@function(effects="none")
def classes(seconds: float) -> list[int]:
    """Return the scheduling class at the beginning, and after so long a time of computing."""
    seen = [os.sched_getscheduler(0)]
    began = time.process_time()
    while time.process_time() - began < seconds:
        pass
    return [each & ~os.SCHED_RESET_ON_FORK for each in [*seen, os.sched_getscheduler(0)]]


@function(effects="none", timeout_s=0.3, retries=1)
def hangs(folder: str) -> str:
    """Use a client that can't be made at the first time."""
    client: Client = weftrun.shared(connect, folder)
    return client.name


def connect(folder: str) -> Client:
    """Make a client; hang for ever at the first time."""
    if not os.listdir(folder):
        Path(folder, "tried").touch()
        time.sleep(1e6)
    return Client("made")


@workflow
def four(folder: str, meet: int) -> list[tuple[int, int, bool]]:
    """Call it four times at once."""
    return [whereabouts(n, folder, meet) for n in range(4)]
