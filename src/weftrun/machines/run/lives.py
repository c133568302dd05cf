"""What earlier lives of a Run have left (L1): which Attempts are used up, what was taken back, and what was called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Success
from weftrun.model.policy import Kind
from weftrun.model.records import (
    AttemptFailed,
    AttemptStarted,
    Branched,
    Chunked,
    Graphed,
    ItemsSettled,
    Observed,
    StepOutcome,
)


def bodies_around(step: StepId) -> list[StepId]:
    """Return the Steps whose bodies a Step is inside of, the innermost last; without the root, which no path names."""
    parts = step.split("/")[:-1]
    return [StepId("/".join(parts[: n + 1])) for n in range(len(parts))]


class OnRecord(Protocol):
    """What `machines.run.recorded` has folded of a Run when a life begins."""

    seq: int
    at: float
    outcomes: dict[StepId, tuple[StepOutcome, int, float]]
    numbers: dict[StepId, dict[int, StepId]]
    graphs: dict[StepId, Graphed]
    chunks: dict[StepId, dict[int, list[Chunked]]]
    items: dict[StepId, list[tuple[ItemsSettled, int, float]]]
    failed: dict[StepId, list[AttemptFailed]]
    begun: dict[StepId, tuple[AttemptStarted, int]]


def dropped_signals(
    failures: Iterable[Failure | None], outcome_of: Callable[[StepId], StepOutcome | None]
) -> dict[StepId, Failure]:
    """Return Steps that took a signal which their body could not read as its type, and failed with, and that failure.

    A failure names the Step that it came from. One that took a signal has succeeded: then its value was wrong (L1).
    """
    dropped: dict[StepId, Failure] = {}
    for failure in failures:
        outcome = outcome_of(failure.origin) if failure is not None else None
        if failure is None or outcome is None or not isinstance(outcome.outcome, Success):
            continue
        if outcome.call is not None and outcome.call.kind is Kind.SIGNAL:
            dropped[outcome.step] = failure
    return dropped


class Past:
    """What was on record when a life began: by this alone a body that goes another way is named and answered.

    Attributes:
        numbers: Step that an async body's call became, by body and call number.
        calls: of async bodies, by Step, where a record tells of them.
        kept: Steps that have succeeded.
        touched: every Step that a record names, and those around them: perhaps it was entered.
    """

    __slots__ = ("calls", "kept", "numbers", "touched")

    def __init__(self, recorded: OnRecord, abandoned: set[StepId]) -> None:
        self.numbers = {body: dict(numbers) for body, numbers in recorded.numbers.items()}
        self.calls: dict[StepId, Observed] = {}
        self.kept: set[StepId] = set()
        self.touched = set(abandoned)
        for step, (outcome, _, _) in recorded.outcomes.items():
            self._take(step, outcome)
        for step, settled in recorded.items.items():
            if (call := settled[-1][0].call) is not None:
                self.calls[step] = call
        for step, (begun, _) in recorded.begun.items():
            if begun.call is not None:
                self.calls.setdefault(step, begun.call)
        for names in (recorded.outcomes, recorded.items, recorded.failed, recorded.begun, recorded.graphs):
            self.touched.update(names)
        self.touched.update(recorded.chunks)
        self.touched.update([body for step in self.touched for body in bodies_around(step)])

    def _take(self, step: StepId, outcome: StepOutcome) -> None:
        if not isinstance(outcome.outcome, Failure):
            self.kept.add(step)
        if outcome.call is not None:
            self.calls[step] = outcome.call


class Lives:
    """Lives of one Run, as its records tell.

    Attributes:
        life: the number of the current one, from 1; `begun_at` the row that began it, `began_at` its time.
        taken_back: the life in which a Step, or an item of it, failed last, where that was taken back.
        settled: the life in which a Step settled, where it is not the first; `numbered` the same of calls by number.
        touched: calls of which it is not known whether they were entered.
        branches: calls from which on a body went another way, by body, as (number, life).
    """

    __slots__ = (
        "_pasts",
        "_used",
        "began_at",
        "begun_at",
        "branches",
        "life",
        "numbered",
        "settled",
        "taken_back",
        "touched",
    )

    def __init__(self) -> None:
        self.life = 1
        self.begun_at = 0
        self.began_at = 0.0
        self.taken_back: dict[StepId, int] = {}
        self.settled: dict[StepId, int] = {}
        self.numbered: dict[tuple[StepId, int], int] = {}
        self.touched: set[StepId] = set()
        self.branches: dict[StepId, list[tuple[int, int]]] = {}
        self._pasts: dict[int, Past] = {}
        self._used: dict[StepId, dict[int, int]] = {}

    def begin(self, life: int, recorded: OnRecord) -> None:
        """A life begins with what is on record now."""
        self.life = life
        self.begun_at = recorded.seq
        self.began_at = recorded.at
        self._pasts[life] = Past(recorded, self.touched)

    def past(self, life: int) -> Past:
        """Return what was on record when a life began."""
        return self._pasts[life]

    def use(self, step: StepId, item: int, attempt: int) -> None:
        """An Attempt of an earlier life has this number."""
        used = self._used.setdefault(step, {})
        used[item] = max(attempt, used.get(item, 0))

    def used(self, step: StepId, item: int = -1) -> int:
        """Return the number of the last Attempt that a Step or an item had in earlier lives; 0 for none."""
        return self._used.get(step, {}).get(item, 0)

    def items_used(self, step: StepId) -> dict[int, int]:
        """Return the same of all items of a map that had one."""
        return {item: attempt for item, attempt in self._used.get(step, {}).items() if item >= 0}

    def take_back(self, step: StepId, item: int, attempt: int) -> None:
        """A final failure of the life before is taken back."""
        self.taken_back[step] = self.life - 1
        if attempt:
            self.use(step, item, attempt)

    def branched(self, record: Branched) -> None:
        """A body went another way from a call on."""
        self.branches.setdefault(record.body, []).append((record.number, record.life))

    def settled_in(self, step: StepId) -> int:
        """Return the life in which a Step settled."""
        return self.settled.get(step, 1)
