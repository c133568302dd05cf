"""How far a Run is: counts per Function, rate, what is left, and what stood still for the disk."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.views.steps import StepView
from weftrun.views.trace import Traced, number


class FunctionCount(Struct, frozen=True):
    """Steps (and items of maps) of one Function by status.

    Attributes:
        total: known so far; more may come while bodies run.
        open_input: whether a map's input is still being read, so that `total` will grow.
    """

    function: str
    total: int = 0
    done: int = 0
    running: int = 0
    failed: int = 0
    cancelled: int = 0
    open_input: bool = False

    @property
    def settled(self) -> int:
        """Return how many will not change any more."""
        return self.done + self.failed + self.cancelled


class Progress(Struct, frozen=True):
    """A Run at one moment.

    Attributes:
        elapsed_s: since somebody began to look, in seconds.
        rate: Steps and items that settled per second.
        eta_s: seconds until what is known now has settled at this rate; None where that can't be said.
        gated: Steps that waited for the disk before they could start.
        value_bytes: encoded size of all recorded values, in bytes: what was handed from Step to Step.
    """

    functions: tuple[FunctionCount, ...]
    elapsed_s: float
    rate: float
    eta_s: float | None
    gated: int = 0
    value_bytes: int = 0

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


def progress(
    steps: Iterable[StepView], *, elapsed_s: float, settled_before: int = 0, gated: int = 0, value_bytes: int = 0
) -> Progress:
    """Return how far a Run is. The root Step is not counted.

    Args:
        steps: the root first, as `views.steps` gives them.
        elapsed_s: since somebody began to look, in seconds.
        settled_before: Steps and items that had settled then; they don't count for the rate.
        gated: Steps that waited for the disk.
        value_bytes: encoded size of all recorded values, in bytes.
    """
    counts: dict[str, _Count] = {}
    for index, step in enumerate(steps):
        if index:
            counts.setdefault(step.function, _Count()).add(step)
    functions = tuple(count.frozen(name) for name, count in counts.items())
    settled = sum(count.settled for count in functions)
    left = sum(count.total for count in functions) - settled
    rate = (settled - settled_before) / elapsed_s if elapsed_s > 0 else 0.0
    known = rate > 0 and not any(count.open_input for count in functions)
    return Progress(functions, elapsed_s, rate, left / rate if known else None, gated, value_bytes)


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
            by_status["cancelled" if step.status == "cancelled" else "pending"] += left

    def frozen(self, function: str) -> FunctionCount:
        by = self.by_status
        return FunctionCount(
            function,
            sum(by.values()),
            by["succeeded"],
            by["running"],
            by["failed"],
            by["cancelled"],
            self.open_input,
        )


def gated_steps(trace: Sequence[Traced]) -> dict[StepId, int]:
    """Return how many Attempts waited for the disk, by the Step that their Batch is filed under."""
    gated: dict[StepId, int] = {}
    for row in trace:
        if row.kind == "batch" and (count := int(number(row, "gated"))):
            gated[row.step] = gated.get(row.step, 0) + count
    return gated


def disk_sentence(gated: int) -> str:
    """Return what to tell of Steps that waited for the disk, and what would let them go on; empty for none."""
    if not gated:
        return ""
    what = "1 Step" if gated == 1 else f"{gated:,} Steps"
    return (
        f"{what} waited for the disk before starting, because what they depend on had to be durable first; "
        'effects="none" on a Function that does nothing outside lets its Steps go on.'
    )
