"""Chance and identity from the operating system (port Entropy)."""

from __future__ import annotations

import random
import secrets


class SystemEntropy:
    """Draws from the operating system; nothing can be repeated."""

    __slots__ = ("_random",)

    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def uid(self) -> str:
        """Return 32 hexadecimal digits that nobody drew before."""
        return secrets.token_hex(16)

    def jitter(self, name: str) -> float:  # noqa: ARG002 - the purpose matters to a seeded Entropy only
        """Return a number from 0 to 1 for the purpose `name`."""
        return self._random.random()
