"""Ascending half-open ranges of items of a map."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

Ranges = list[tuple[int, int]]


def count(ranges: Iterable[tuple[int, int]]) -> int:
    """Return how many items there are."""
    return sum(hi - lo for lo, hi in ranges)


def take(left: deque[tuple[int, int]], most: int) -> Ranges:
    """Take up to `most` items from the front."""
    taken: Ranges = []
    while left and most > 0:
        lo, hi = left.popleft()
        cut = min(hi, lo + most)
        if cut < hi:
            left.appendleft((cut, hi))
        taken.append((lo, cut))
        most -= cut - lo
    return taken


def without(ranges: Ranges, told: Ranges) -> Ranges:
    """Return `ranges` less `told`."""
    left: Ranges = []
    for lo, hi in ranges:
        at = lo
        for cut_lo, cut_hi in sorted(told):
            if cut_hi > at and cut_lo < hi:
                if cut_lo > at:
                    left.append((at, cut_lo))
                at = max(at, cut_hi)
        if at < hi:
            left.append((at, hi))
    return left


def within(ranges: Ranges, bounds: Ranges) -> Ranges:
    """Return the part of `ranges` that is in `bounds`."""
    return without(ranges, without(ranges, bounds))
