"""Who does something in a simulated world beside its clients and its faults: operators, schedules, whoever forks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

W = TypeVar("W")


class Actor(Generic[W]):
    """Somebody who acts in one world, and can say in the end what was wrong with what came of it."""

    def begin(self, world: W) -> None:
        """The world begins: its engines are about to be opened."""

    def is_over(self) -> bool:
        """Say whether there is nothing more that the actor does or waits for."""
        return True

    def all_ended(self, world: W) -> None:
        """No engine is there, for a while or for good."""

    def findings(self, world: W) -> Iterator[str]:  # noqa: ARG002  # who has nothing to say needs no world
        """Yield what is wrong with the history, when it is over."""
        yield from ()
