"""How much memory processes use, as the kernel tells."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

_PROC = Path("/proc")


def memory_below(pid: int, without: Collection[int] = ()) -> int:
    """Return how many bytes of memory a process and all below it use; a page that several share counts in parts.

    Processes that end meanwhile, or may not be looked at, count nothing.

    Args:
        without: processes that are left out, with all below them.
    """
    total, left = 0, [pid]
    while left:
        current = left.pop()
        if current in without:
            continue
        total += _proportional(current)
        left += _children(current)
    return total


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in (_PROC / str(pid) / "task").iterdir():
            found += [int(word) for word in (task / "children").read_text().split()]
    except (OSError, ValueError):
        pass
    return found


def _proportional(pid: int) -> int:
    try:
        lines = (_PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
