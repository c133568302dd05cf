"""What outboxes in SQL databases share."""

from __future__ import annotations

from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId


def refuse_delete(run: RunId, count: int) -> None:
    """Refuse to delete a Run of which not everything that it emitted is delivered."""
    if count:
        raise UsageError(
            f"{count} of the emits of Run {run} {'is' if count == 1 else 'are'} not delivered. Open an engine with"
            " their sinks, or drop them: `weftrun outbox` shows them."
        )
