"""Hints: what other engines say when they have changed what somebody would look for in the Journal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weftrun.model.ids import RunUid


class Hints(Protocol):
    """Tells that it is worth to look at the Journal now. Nothing may rest on it: whoever listens also looks by itself.

    A hint may be lost, late, doubled, or about nothing. No method waits for anything, and none raises an error of the
    outside: where nothing can be heard, nothing is.
    """

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        """Begin to listen, from now on and until `close`. Idempotent.

        Args:
            ended: called, in another thread, with Runs that have ended, or of which it has just been asked that their
                end be told: it may have come before.
            changed: called, in another thread, when there may be free Runs, messages, or sinks without an engine.
        """

    def watch(self, run: RunUid) -> None:
        """Ask that the end of a Run of another engine be told. Idempotent."""

    def forget(self, run: RunUid) -> None:
        """Nobody here wants to know of a Run any more. Idempotent."""

    def close(self) -> None:
        """Listen no more. Idempotent."""
