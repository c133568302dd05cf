"""Where spans go: one of each Run, one of each Attempt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from weftrun.model.spans import SpanEnded


class Spans(Protocol):
    """Takes spans that are over. Called on the loop; it may not block, and what goes wrong in it is its own."""

    def ended(self, spans: Sequence[SpanEnded]) -> None:
        """Take these."""

    def here(self) -> str:
        """Return the `traceparent` of what runs in the calling thread; empty where there is none. From any thread."""

    def close(self) -> None:
        """Hand on what was taken, for a few seconds at most. Blocking, called outside the loop. Idempotent."""
