"""A word count as DataFlower's: the text comes over a link in parts, and each part is counted by a Step of its own."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import Any

import weftrun
from weftrun import function, workflow

PARTS = 4
_TEXT = " ".join(random.Random(5).choices([f"word{n:03}" for n in range(997)], k=131_072))


def text_of(seed: int, nbytes: int) -> str:
    """Return whole words of a text, which has a megabyte, from a place on that the seed gives."""
    begin = 8 * (seed * 7_919 % 100_000)
    return (_TEXT[begin:] + " " + _TEXT)[: 8 * max(1, nbytes // 8) - 1]


@function(effects="none", outputs={f"part{n}": str for n in range(PARTS)})
def fetch(seed: int, nbytes: int, mb_per_s: float) -> int:
    """Fetch a text over a link of `mb_per_s`, which takes its time and no processor; put each part when it is there."""
    current = weftrun.current()
    part = nbytes // PARTS
    for n in range(PARTS):
        time.sleep(part / (mb_per_s * 1e6))
        current.put(f"part{n}", text_of(seed + n, part))
    return nbytes


@function(effects="none", deterministic=True)
def count(text: str, rounds: int) -> Counter[str]:
    """Count the words, `rounds` times over, so that it takes its time on a processor."""
    counted: Counter[str] = Counter()
    for _ in range(rounds):
        counted = Counter(text.split())
    return counted


@function(effects="none", deterministic=True)
def merge(counts: list[Counter[str]]) -> int:
    """Return how many words there are."""
    return sum(sum(counted.values()) for counted in counts)


@workflow
def words(seed: int, nbytes: int, mb_per_s: float, rounds: int) -> Any:
    """Fetch, count each part, add up."""
    fetched = fetch.step(seed, nbytes, mb_per_s)
    return merge([count(fetched.output(f"part{n}", str).out, rounds) for n in range(PARTS)])
