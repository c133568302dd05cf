"""What processes use, as the kernel tells it: memory (PSS), processor time, and how often they woke."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += family(int(child))
    except OSError:
        pass
    return found


def pss_bytes(pid: int) -> int:
    """Return the proportional share of memory of one process, in bytes; 0 for one that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def used(pids: list[int]) -> tuple[float, int]:
    """Return the processor time of all threads of these processes, in seconds, and how often they went to sleep."""
    seconds, sleeps = 0.0, 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            seconds += int((task / "schedstat").read_text().split()[0]) / 1e9
            status = (task / "status").read_text().splitlines()
            sleeps += next(int(line.split()[1]) for line in status if line.startswith("voluntary_ctxt_switches"))
    return seconds, sleeps


class Peak:
    """Looks at the memory of this process and its descendants ten times a second; `nbytes` is the most it saw."""

    def __init__(self) -> None:
        self.nbytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.nbytes = max(self.nbytes, sum(pss_bytes(pid) for pid in family(os.getpid())))
            if self._stop.wait(0.1):
                return
