"""Where the time of a Run went: running, waiting for the disk, waiting for anything else, and its longest chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Ran
from weftrun.model.records import AttemptFailed, Ended, ItemsSettled, RollbackFailed, Row, Settled
from weftrun.views.calls import Calls, CallView
from weftrun.views.running import RunningView
from weftrun.views.steps import StepsFold
from weftrun.views.trace import Traced, number
from weftrun.views.unrecorded import unrecorded

Interval = tuple[float, float]
"""From and to, in seconds since the epoch."""

_LONG = 0.1
"""Share of a Run's time from which on it is worth saying what would have saved it."""


class TimeBreakdown(Struct, frozen=True):
    """Where the time of a Run went. All times in seconds.

    Attributes:
        wall_s: from the start record to the last record.
        body_s: time inside the bodies of Functions, all Sandboxes together.
        running_s: part of the wall time in which at least one Function ran.
        committing_s: part of it in which none ran and some Step stood still for the disk.
        waiting_s: the rest: hand-over, bodies of Workflows, back-off, nobody's engine.
        sandboxes: how many Sandboxes ran Functions.
        busy: share of these Sandboxes' wall time that was spent inside bodies, from 0 to 1.
        chain: Steps of the longest chain, by time in bodies, each needing the one before it.
        chain_s: part of the wall time in which a body of that chain ran, so never more than `running_s`.
        traced: whether there is a trace; without one `committing_s` is not known and counts as waiting.
    """

    wall_s: float
    body_s: float
    running_s: float
    committing_s: float
    waiting_s: float
    sandboxes: int
    busy: float
    chain: tuple[StepId, ...]
    chain_s: float
    traced: bool


def time_breakdown(
    rows: Sequence[Row], fold: StepsFold, trace: Sequence[Traced] = (), now: Sequence[RunningView] = ()
) -> TimeBreakdown:
    """Return where the time of a Run went; `fold` has seen all its rows, and `now` was seen of what goes on."""
    calls = fold.calls
    ran = [(step, ran) for step, ran in attempts(rows, calls) if step not in calls.bodies]
    ran += [(left.step, left.ran) for left in unrecorded(rows, trace)]
    ran += [(v.step, Ran(v.sandbox, v.entered_at, v.seen_at)) for v in now if v.step not in calls.bodies]
    # A clock that was set back between two engines would have bodies run before the Run began.
    running = merge((max(r.entered_at, rows[0].at), r.left_at) for _, r in ran)
    committing = length_s(merge([*running, *waits_for_disk(fold, trace)])) - length_s(running)
    body_s = sum(max(0.0, r.left_at - r.entered_at) for _, r in ran)
    sandboxes = len({r.sandbox for _, r in ran})
    wall_s = max(0.0, rows[-1].at - rows[0].at, (running[-1][1] if running else 0.0) - rows[0].at)
    chain, chain_s = longest_chain(calls, ran, rows[0].at)
    return TimeBreakdown(
        wall_s,
        body_s,
        length_s(running),
        committing,
        max(0.0, wall_s - length_s(running) - committing),
        sandboxes,
        min(1.0, body_s / (sandboxes * wall_s)) if sandboxes and wall_s > 0 else 0.0,
        chain,
        chain_s,
        bool(trace),
    )


def waited_long(rows: Sequence[Row], fold: StepsFold, trace: Sequence[Traced]) -> bool:
    """Say whether standing still for the disk has cost a Run more than a tenth of its time, as far as is traced.

    Of a Run with thousands of Batches only the first are traced; then it is their part of the Run that is looked at.
    """
    batches = [row for row in trace if row.kind == "batch"]
    if not batches:
        return False
    whole = time_breakdown(rows, fold, trace)
    untold = any(row.kind == "note" and number(row, "gated") for row in trace)
    seen_s = min(whole.wall_s, batches[-1].at - rows[0].at) if untold else whole.wall_s
    return whole.committing_s > _LONG * seen_s


def attempts(rows: Sequence[Row], calls: Calls) -> Iterator[tuple[StepId, Ran]]:
    """Yield every Attempt (or Batch of items) that was entered, with its Step."""
    for row in rows:
        for record in row.records:
            match record:
                case Settled():
                    yield from ((done.step, done.ran) for done in record.outcomes if done.ran.entered_at)
                case ItemsSettled() | AttemptFailed() | RollbackFailed() if record.ran.entered_at:
                    yield record.step, record.ran
                case Ended() if record.ran.entered_at and calls.root is not None:
                    yield calls.root, record.ran
                case _:
                    pass


def waits_for_disk(fold: StepsFold, trace: Sequence[Traced]) -> Iterator[Interval]:
    """Yield when Steps stood still until a record was durable.

    That is the time from when all that a gated Batch's first Step takes had settled, and no longer than the trace says:
    what comes after it, until the Batch goes, is the start of a Sandbox, or its being busy.
    """
    for row in trace:
        if row.kind == "batch" and number(row, "gated") and (call := fold.calls.by_step.get(row.step)) is not None:
            ready_at = fold.ready_at(call)
            over_at = min(row.at, ready_at + number(row, "gated_s")) if "gated_s" in row.facts else row.at
            if 0 < ready_at < over_at:
                yield ready_at, over_at


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Return intervals without overlap that cover the same time, ascending."""
    merged: list[Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        elif end > begin:
            merged.append((begin, end))
    return merged


def length_s(intervals: Sequence[Interval]) -> float:
    """Return the sum of the lengths of intervals that do not overlap, in seconds."""
    return sum(end - begin for begin, end in intervals)


def longest_chain(calls: Calls, ran: Sequence[tuple[StepId, Ran]], began_at: float) -> tuple[tuple[StepId, ...], float]:
    """Return the Steps that follow from one another and spent the most time in bodies, and that time in seconds.

    A Step counts with the time in which one of its Attempts or items ran, not with what lies between them: a back-off,
    or the time in which no engine had the Run. A Workflow's Step counts as the longest chain inside it.
    """
    entered: dict[StepId, list[Interval]] = {}
    for step, r in ran:
        entered.setdefault(step, []).append((max(r.entered_at, began_at), r.left_at))
    spans = {step: merge(intervals) for step, intervals in entered.items()}
    if calls.root in spans:
        return (calls.root,), length_s(spans[calls.root])
    chains = _Chains(calls, {step: length_s(intervals) for step, intervals in spans.items()})
    for ordinal in sorted(calls.by_ordinal):
        if (call := calls.by_step.get(calls.by_ordinal[ordinal])) is not None:
            chains.add(call)
    chain = chains.longest()
    # What was run again after a crash may lie beside what needed it: no moment counts twice.
    return chain, length_s(merge(interval for step in chain for interval in spans[step]))


class _Chains:
    """The longest chain to each Step, built in the order of settling: whatever a Step needs has settled before it."""

    def __init__(self, calls: Calls, lengths_s: dict[StepId, float]) -> None:
        self._calls = calls
        self._lengths_s = lengths_s
        self._best: dict[StepId, tuple[float, StepId | None]] = {}
        self._inside: dict[StepId, StepId] = {}

    def add(self, call: CallView) -> None:
        """Add a Step, and before it what it needs and no record tells of."""
        stack = [call]
        while stack:
            by_step = self._calls.by_step
            needs = self._calls.needs(stack[-1])
            missing = [by_step[need] for need in needs if need in self._lengths_s and need not in self._best]
            if missing:
                stack.extend(missing)
            else:
                self._add(stack.pop())

    def _add(self, call: CallView) -> None:
        before = self._longer([*self._needs(call), *self._insides(call.id)])
        self._best[call.id] = (self._length_s(before) + self._lengths_s.get(call.id, 0.0), before)
        longest = self._longer([call.id, *self._insides(call.body)])
        if longest is not None:
            self._inside[call.body] = longest

    def longest(self) -> tuple[StepId, ...]:
        last = max(self._best, key=lambda step: self._best[step][0], default=None)
        chain: list[StepId] = []
        step = last
        while step is not None:
            if step in self._lengths_s:
                chain.append(step)
            step = self._best[step][1]
        return tuple(reversed(chain))

    def _needs(self, call: CallView) -> list[StepId]:
        """Return what had to settle before a call could start; for the first calls of a body, what the body needed."""
        owner: CallView | None = call
        while owner is not None:
            if needs := self._calls.needs(owner):
                return needs
            owner = self._calls.by_step.get(owner.body)
        return []

    def _insides(self, body: StepId) -> list[StepId]:
        return [self._inside[body]] if body in self._inside else []

    def _longer(self, steps: Sequence[StepId]) -> StepId | None:
        return max((step for step in steps if step in self._best), key=self._length_s, default=None)

    def _length_s(self, step: StepId | None) -> float:
        return self._best[step][0] if step is not None else 0.0
