"""What outboxes in SQL databases share."""

from __future__ import annotations

from weftrun.model.errors import UsageError
from weftrun.ports.journal import RunInfo


def check_deletable(run: RunInfo, open_emits: int) -> None:
    """Raise `UsageError` for a Run that has not ended, or of whose emits so many are neither delivered nor dropped."""
    if run.ended_at is None:
        raise UsageError(f"Run {run.id} has not ended. Cancel it first, then delete it.")
    if open_emits:
        raise UsageError(
            f"{open_emits} of the emits of Run {run.id} {'is' if open_emits == 1 else 'are'} not delivered."
            " Open an engine with their sinks, or drop them: `weftrun outbox` shows them."
        )
