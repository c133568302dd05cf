"""Chance and identity."""

from __future__ import annotations

from typing import Protocol


class Entropy(Protocol):
    """Drawn only where nothing depends on the value, or where it is recorded before it is used."""

    def uid(self) -> str:
        """Return 32 hexadecimal digits that nobody drew before."""

    def jitter(self, name: str) -> float:
        """Return a number from 0 to 1 for the purpose `name`."""
