"""Opening the same storage again, as an engine does after a crash or a close."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar


class Closable(Protocol):
    """What can be closed, more than once."""

    def close(self) -> None:
        """Release what it holds. Idempotent."""


T = TypeVar("T", bound=Closable)


class Reopening:
    """Closes what it opened before, and opens once more."""

    def __init__(self) -> None:
        self._opened: list[Closable] = []

    def __call__(self, opener: Callable[[], T]) -> T:
        """Return what `opener` gives, once nothing opened earlier is open any more."""
        self.close()
        opened = opener()
        self._opened.append(opened)
        return opened

    def close(self) -> None:
        """Close what is open. Idempotent."""
        while self._opened:
            self._opened.pop().close()
