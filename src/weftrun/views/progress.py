"""How far a Run is: counts per Function, rate, what is left, and what stood still for the disk."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import islice

from msgspec import Struct

from weftrun.views.step import StepView
from weftrun.views.trace import Traced, number
from weftrun.views.units import count_of


class FunctionCount(Struct, frozen=True):
    """Steps of one Function by status, or the items of its maps.

    Attributes:
        total: known so far; more may come while bodies run.
        open_input: whether a map's input is still being read, so that `total` will grow.
        is_map: whether these are items, not Steps.
    """

    function: str
    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0
    cancelled: int = 0
    open_input: bool = False
    is_map: bool = False

    @property
    def settled(self) -> int:
        """Return how many will not change any more."""
        return self.done + self.failed + self.cancelled


class RunProgress(Struct, frozen=True):
    """A Run at one moment.

    Attributes:
        elapsed_s: since somebody began to look, in seconds.
        rate: Steps and items that settled per second.
        eta_s: seconds until what is known now has settled at this rate; None where that can't be said.
        gated: Attempts that waited for the disk before they could start.
        value_bytes: encoded size of all recorded values, in bytes: what was handed from Step to Step.
        steps: how many Steps stand how, a map being one.
        items: how many items of maps stand how.
    """

    functions: tuple[FunctionCount, ...]
    elapsed_s: float
    rate: float
    eta_s: float | None
    gated: int = 0
    value_bytes: int = 0
    steps: dict[str, int] = {}
    items: dict[str, int] = {}

    @property
    def settled(self) -> int:
        """Return how many Steps and items have settled."""
        return sum(count.settled for count in self.functions)

    @property
    def done(self) -> int:
        """Return how many Steps and items succeeded."""
        return sum(count.done for count in self.functions)

    @property
    def failed(self) -> int:
        """Return how many Steps and items failed for good."""
        return sum(count.failed for count in self.functions)

    @property
    def cancelled(self) -> int:
        """Return how many Steps and items were cancelled."""
        return sum(count.cancelled for count in self.functions)

    @property
    def total(self) -> int:
        """Return how many Steps and items are known."""
        return sum(count.total for count in self.functions)


def by_status(steps: Iterable[StepView]) -> dict[str, int]:
    """Return how many Steps, and items in place of their maps, stand how; the root, which comes first, is left out."""
    count = _Count()
    for step in islice(steps, 1, None):
        count.add(step)
    return {status: n for status, n in count.by_status.items() if n}


def apart(steps: Iterable[StepView]) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many Steps stand how, a map being one, and how many items of maps; the root is left out."""
    whole: Counter[str] = Counter()
    items = _Count()
    for step in islice(steps, 1, None):
        whole[step.status] += 1
        if step.is_map:
            items.add(step)
    in_order = {status: whole[status] for status in items.by_status if whole[status]}
    return in_order, {status: n for status, n in items.by_status.items() if n}


def counted(steps: dict[str, int], items: dict[str, int], words: dict[str, str] | None = None) -> str:
    """Return how Steps and items stand, e.g. `2 Steps succeeded; 9 items succeeded, 1 item failed`; empty for none.

    `words` are said in the place of a status.
    """
    named = [
        ", ".join(f"{count_of(count, noun)} {(words or {}).get(status, status)}" for status, count in counts.items())
        for noun, counts in (("Step", steps), ("item", items))
        if counts
    ]
    return "; ".join(named)


def progress(
    steps: Iterable[StepView], *, elapsed_s: float, settled_before: int = 0, gated: int = 0, value_bytes: int = 0
) -> RunProgress:
    """Return how far a Run is. The root Step is not counted.

    Args:
        steps: the root first, as `views.steps` gives them.
        elapsed_s: since somebody began to look, in seconds.
        settled_before: Steps and items that had settled then; they don't count for the rate.
        gated: Attempts that waited for the disk.
        value_bytes: encoded size of all recorded values, in bytes.
    """
    counts: dict[tuple[str, bool], _Count] = {}
    views = list(steps)
    for step in views[1:]:
        counts.setdefault((step.function, step.is_map), _Count()).add(step)
    functions = tuple(count.frozen(name, is_map=is_map) for (name, is_map), count in counts.items())
    settled = sum(count.settled for count in functions)
    left = sum(count.total for count in functions) - settled
    rate = (settled - settled_before) / elapsed_s if elapsed_s > 0 else 0.0
    known = rate > 0 and not any(count.open_input for count in functions)
    return RunProgress(functions, elapsed_s, rate, left / rate if known else None, gated, value_bytes, *apart(views))


class _Count:
    __slots__ = ("by_status", "open_input")

    def __init__(self) -> None:
        self.by_status = {"pending": 0, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0}
        self.open_input = False

    def add(self, step: StepView) -> None:
        by_status = self.by_status
        if not step.is_map:
            by_status[step.status] += 1
            return
        by_status["succeeded"] += step.items_done
        by_status["failed"] += step.items_failed
        if step.items is None:
            self.open_input = step.status in ("pending", "running")
        else:
            left = step.items - step.items_done - step.items_failed
            running = min(left, sum(view.lives for view in step.running))
            by_status["running"] += running
            left -= running
            # A map that failed with items left was never entered: an argument of it had failed.
            by_status[step.status if step.status in ("cancelled", "failed") else "pending"] += left

    def frozen(self, function: str, *, is_map: bool) -> FunctionCount:
        by = self.by_status
        return FunctionCount(
            function,
            sum(by.values()),
            by["succeeded"],
            by["running"],
            by["failed"],
            by["cancelled"],
            self.open_input,
            is_map,
        )


def attempts_gated(trace: Sequence[Traced]) -> int:
    """Return how many Attempts, those of a map's items among them, waited for the disk."""
    return sum(int(number(row, "gated")) for row in trace)


def disk_sentence(gated: int) -> str:
    """Return what to tell of Attempts that waited for the disk, and what would let them go on; empty for none."""
    if not gated:
        return ""
    who, depends = ("it", "it depends") if gated == 1 else ("they", "they depend")
    return (
        f"{count_of(gated, 'Attempt')} waited for the disk before {who} started, because what {depends} on had to be "
        'durable first; effects="none" on a Function that does nothing outside lets its Steps go on.'
    )
