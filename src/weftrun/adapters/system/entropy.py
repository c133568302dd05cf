"""Chance and identity from the operating system (port Entropy)."""

from __future__ import annotations

import random
import secrets

_AT_ONCE = 64
"""Numbers that are drawn together."""


class SystemEntropy:
    """Draws from the operating system; nothing can be repeated."""

    __slots__ = ("_random", "_uids")

    def __init__(self) -> None:
        self._random = random.SystemRandom()
        self._uids: list[str] = []

    def uid(self) -> str:
        """Return 32 hexadecimal digits that nobody drew before. From any thread."""
        # Many at once: asking the operating system gives the interpreter lock away, which costs a waiting thread more
        # than everything else that starts a Run.
        while True:
            try:
                return self._uids.pop()
            except IndexError:
                drawn = secrets.token_hex(16 * _AT_ONCE)
                self._uids += [drawn[at : at + 32] for at in range(0, len(drawn), 32)]

    def jitter(self, name: str) -> float:  # noqa: ARG002 - the purpose matters to a seeded Entropy only
        """Return a number from 0 to 1 for the purpose `name`."""
        return self._random.random()
