"""How often a client that is asked for is there, by the policy of eviction and by how many are kept."""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Sequence
from pathlib import Path

import weftrun
from experiments.table import Table
from weftrun.sdk.eviction import EVICTS
from weftrun.sdk.multiplexer import MULTIPLEXER

_SIZES = (2, 4, 6, 8, 10, 12, 14, 16, 32, 64)
_QUICK = (2, 10, 64)
_KEYS = 200
_SLOWEST_S = 0.002
_PUBLISHED = {"lru": (0.057, 0.123, 0.255), "lfu": (0.058, 0.108, 0.269), "gdsf": (0.031, 0.092, 0.298)}
"""Hit rates of the original at 2, 10 and 64 entries, each container with a cache of its own."""


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001 - as experiments are called
    """Ask for clients of users of whom few are frequent, by the multiplexer of one process."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/cache")
    parser.add_argument("--calls", type=int, default=1_000 if quick else 10_000, metavar="N", help="in all")
    parser.add_argument("--zipf", type=float, default=1.9, metavar="S", help="exponent of how often users come (1.9)")
    parser.add_argument("--seed", type=int, default=5432, help="of the users that are drawn")
    chosen = parser.parse_args(arguments)
    draw = random.Random(chosen.seed)
    weights = [(rank + 1) ** -chosen.zipf for rank in range(_KEYS)]
    users = draw.choices(range(_KEYS), weights, k=chosen.calls)
    costs_s = [draw.uniform(0.0, _SLOWEST_S) for _ in range(_KEYS)]
    rows: list[Sequence[object]] = []
    for policy in EVICTS:
        for place, most in enumerate(_QUICK if quick else _SIZES):
            if policy == "none" and place:
                break  # no size bounds it
            rows.append((policy, "any" if policy == "none" else most, *_asked(policy, most, users, costs_s)))
    title = f"{chosen.calls:,} calls of {_KEYS} users, Zipf with exponent {chosen.zipf:g}"
    published = "; ".join(f"{policy} {', '.join(map(str, rates))}" for policy, rates in _PUBLISHED.items())
    notes = (
        "The original's users come from a trace that is not published with it; the exponent is such that 10 entries of "
        "LRU hit as often as its final version says, 0.88 to 0.89. Its figures for containers with a cache each were, "
        f"at 2, 10 and 64 entries: {published}. They leave out keys that were never hit; these do not. "
        "What a miss costs is drawn once for each user, up to 2 ms."
    )
    columns = ("policy", "entries", "hit rate", "made", "evicted", "making ms")
    return [Table("cache", title, columns, rows, notes)]


def _asked(policy: str, most: int, users: Sequence[int], costs_s: Sequence[float]) -> tuple[float, int, int, float]:
    """Return the hit rate, how many were made and given up, and how long making them took, in milliseconds."""
    took = [0.0]

    def make(user: int) -> object:
        began = time.perf_counter()
        while time.perf_counter() - began < costs_s[user]:
            pass
        took[0] += costs_s[user]
        return [user]

    get = weftrun.share(make, most=most, evict=policy)  # type: ignore[arg-type]  # one of EVICTS
    for user in users:
        get(user)
    counts = MULTIPLEXER.pool(make).counts
    return counts.used / len(users), counts.made, counts.evicted, 1e3 * took[0]
