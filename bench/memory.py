"""Peak memory of this process and all its descendants: the sum of their proportional shares (PSS)."""

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


def pss_bytes() -> int:
    """Return the memory of this process and its descendants, in bytes."""
    total = 0
    for pid in family(os.getpid()):
        try:
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        except OSError:
            continue
    return total


class Peak:
    """Looks at the memory ten times a second while the block runs; `nbytes` is the most that was seen."""

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
            self.nbytes = max(self.nbytes, pss_bytes())
            if self._stop.wait(0.1):
                return
