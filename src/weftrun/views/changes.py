"""What changed of a Run since somebody looked last: its status, its Steps, how far it is, and what it printed.

Whoever comes again hands in the place where they left, and is told what changed since.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from weftrun.model.outcomes import Status
from weftrun.model.records import Row
from weftrun.views.following import Followed as TextPlace
from weftrun.views.following import Following
from weftrun.views.progress import RunProgress, attempts_gated, progress
from weftrun.views.running import RunningView
from weftrun.views.step import StepView
from weftrun.views.steps import StepsFold
from weftrun.views.trace import TextView, Traced, texts


class Stands(Struct, frozen=True):
    """How a Run stands, and what it stands still for."""

    status: Status
    waiting_for: str | None = None


Change = Stands | StepView | RunProgress | TextView


class _Place(Struct, frozen=True, array_like=True):
    rows: int = 0
    texts: TextPlace = TextPlace()
    status: str = ""


class Changes:
    """Tells of each change once: of a Step when it stands otherwise than it did, of a text when it is there.

    Args:
        place: where somebody left, as `place` was then; one that is none begins anew.
    """

    def __init__(self, place: str = "") -> None:
        left = _decoded(place)
        self._rows_before = left.rows
        self._rows = left.rows
        self._following = Following(left.texts)
        self._status = left.status
        self._known: dict[str, StepView] | None = None
        self._progress: RunProgress | None = None

    @property
    def place(self) -> str:
        """Where to go on from here, as a word without blanks."""
        told = msgspec.msgpack.encode(_Place(self._rows, self._following.place, self._status))
        return base64.urlsafe_b64encode(told).decode().rstrip("=")

    def news(
        self,
        stands: Stands,
        rows: Sequence[Row],
        trace: Sequence[Traced],
        running: Sequence[RunningView],
        *,
        elapsed_s: float,
    ) -> list[Change]:
        """Return what changed since the last call, or since somebody left.

        Args:
            stands: the Run.
            rows: all of it, and `trace` and `running`, read before them.
            elapsed_s: since the Run was started, in seconds.
        """
        fold = StepsFold.of(rows, trace, running)
        views = list(fold.views())
        found: list[Change] = []
        status = f"{stands.status} {stands.waiting_for or ''}"
        if status != self._status:
            found.append(stands)
        found += self._steps(rows, views)
        seen = progress(views, elapsed_s=elapsed_s, gated=attempts_gated(trace), value_bytes=fold.value_bytes)
        if self._progress is None or seen.functions != self._progress.functions:
            found.append(seen)
        found += self._following.news(texts(trace), running)
        self._status, self._progress, self._rows = status, seen, len(rows)
        return found

    def _steps(self, rows: Sequence[Row], views: list[StepView]) -> list[StepView]:
        known = self._known
        if known is None:  # what was known when somebody left is what the rows of then tell
            before = StepsFold.of(rows[: self._rows_before]).views() if self._rows_before else ()
            known = {view.id: view for view in before}
        self._known = {view.id: view for view in views}
        return [view for view in views if known.get(view.id) != view]


def _decoded(place: str) -> _Place:
    try:
        told = base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)) if place else b""
        return msgspec.msgpack.decode(told, type=_Place) if told else _Place()
    except (msgspec.MsgspecError, binascii.Error, ValueError):
        return _Place()
