"""Seeded chance, one stream for each concern, so that a new draw in one does not shift the others.

Own code (SplitMix64) rather than the standard library's generator: a seed from one Python must replay on any other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_MASK = (1 << 64) - 1


class Chance:
    """A stream of draws that depends on a seed and a purpose, and on nothing else."""

    __slots__ = ("_seed", "_state")

    def __init__(self, seed: int, purpose: str) -> None:
        """Begin the stream of `purpose` under `seed`."""
        self._seed = seed
        self._state = int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "little")

    def bits(self) -> int:
        """Return 64 even bits."""
        self._state = (self._state + 0x9E3779B97F4A7C15) & _MASK
        z = self._state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
        return z ^ (z >> 31)

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to `bound` - 1."""
        return self.bits() % bound

    def share(self) -> float:
        """Return a number from 0 up to 1."""
        return (self.bits() >> 11) / (1 << 53)

    def between(self, low: float, high: float) -> float:
        """Return a number between two bounds."""
        return low + (high - low) * self.share()

    def happens(self, probability: float) -> bool:
        """Say whether something of this probability happens now."""
        return self.share() < probability

    def one_of(self, choices: Sequence[T]) -> T:
        """Return one of `choices`."""
        return choices[self.below(len(choices))]


class SeededEntropy:
    """The port Entropy from a stream of `Chance`."""

    def __init__(self, seed: int) -> None:
        """Draw from the streams of `seed`."""
        self._uids = Chance(seed, "uid")
        self._jitter = Chance(seed, "jitter")

    def uid(self) -> str:
        """Return 32 hexadecimal digits that nobody drew before."""
        return f"{self._uids.bits():016x}{self._uids.bits():016x}"

    def jitter(self, name: str) -> float:  # noqa: ARG002  # one stream serves all purposes
        """Return a number from 0 to 1."""
        return self._jitter.share()
