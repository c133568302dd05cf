"""Where a Run's Functions ran, and which of these places was slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from weftrun.views.timeline import Span, Timeline


class PlaceView(Struct, frozen=True):
    """A Worker, or the engine's own process, as far as a Run has used it.

    Attributes:
        worker: its number; 0 is the engine's own process.
        host: name of its host; empty where the trace does not tell it.
        sandboxes: how many Sandboxes of it the Run has used for Functions.
        bodies: how many Attempts, and items of maps, were run there.
        body_s: for how long they ran, in seconds, in all.
        slowness: how long they took, in times of what the same Functions took elsewhere; 1.0 where nothing ran
            elsewhere, or too little to tell.
    """

    worker: int
    host: str
    sandboxes: int
    bodies: int
    body_s: float
    slowness: float


_BODIES_MIN = 3
"""Of fewer bodies here or elsewhere of a Function nobody can tell that a place is slow."""


class _Sum:
    __slots__ = ("bodies", "body_s")

    def __init__(self) -> None:
        self.bodies = 0
        self.body_s = 0.0

    def add(self, span: Span) -> None:
        self.bodies += span.count
        self.body_s += span.left_at - span.entered_at


def places(line: Timeline) -> list[PlaceView]:
    """Return where the bodies of a Run's Functions ran, by number."""
    here: dict[int, dict[str, _Sum]] = defaultdict(lambda: defaultdict(_Sum))
    whole: dict[str, _Sum] = defaultdict(_Sum)
    sandboxes: dict[int, set[int]] = defaultdict(set)
    hosts = {lane.worker: lane.host for lane in line.lanes}
    for lane in line.lanes:
        for span in lane.spans:
            if not span.is_body and not span.is_running:
                here[lane.worker][span.label].add(span)
                whole[span.label].add(span)
                sandboxes[lane.worker].add(lane.sandbox)
    return [
        PlaceView(
            worker,
            hosts[worker],
            len(sandboxes[worker]),
            sum(one.bodies for one in there.values()),
            sum(one.body_s for one in there.values()),
            _slowness(there, whole),
        )
        for worker, there in sorted(here.items())
    ]


def _slowness(there: dict[str, _Sum], whole: dict[str, _Sum]) -> float:
    """Return how long bodies took, in times of what they would have taken at the pace of all other places."""
    pairs = list(_paces(there, whole))
    expected = sum(bodies * pace for bodies, _, pace in pairs)
    return sum(took for _, took, _ in pairs) / expected if expected > 0 else 1.0


def _paces(there: dict[str, _Sum], whole: dict[str, _Sum]) -> Iterator[tuple[int, float, float]]:
    """Yield for each Function how many bodies of it ran here, how long they took, and how long one took elsewhere."""
    for label, mine in there.items():
        bodies, body_s = whole[label].bodies - mine.bodies, whole[label].body_s - mine.body_s
        if mine.bodies >= _BODIES_MIN and bodies >= _BODIES_MIN:
            yield mine.bodies, mine.body_s, body_s / bodies
