"""The trace: what people like to see and nobody's correctness rests on. Not synced; lost rows are told as lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.ids import RunUid, StepId


class TraceRow(Struct, frozen=True, array_like=True):
    """One entry.

    Attributes:
        kind: `text` (what an Attempt printed), `batch` (Invocations given to a Sandbox), `sandbox` (one began or
            ended), `unrecorded` (a success without a record, C3), `note` (a decision and its reason).
        at: seconds since the epoch.
        step: empty where it concerns the Run.
        facts: for machines and views; keys are documented at `views.story`.
    """

    run: RunUid
    kind: str
    at: float
    step: StepId
    attempt: int
    text: str = ""
    facts: dict[str, str | int | float] = {}


class Trace(Protocol):
    """Keeps rows in order of writing. Blocking; a failure to write is swallowed after one warning."""

    def write(self, rows: Sequence[TraceRow]) -> None:
        """Keep rows."""

    def read(self, run: RunUid) -> list[TraceRow]:
        """Return the rows of a Run in order of writing."""

    def delete(self, run: RunUid) -> None:
        """Forget the rows of a Run."""

    def close(self) -> None:
        """Let go of the file. Idempotent."""
