"""What Functions took in many Runs: how long their bodies ran, what failed, Batches, cold starts, and bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.records import AttemptFailed, Ended, ItemsSettled, Row, Settled
from weftrun.model.values import Blob, Data, Inline
from weftrun.views.calls import Calls
from weftrun.views.trace import Traced, number
from weftrun.views.unrecorded import unrecorded


class FunctionView(Struct, frozen=True):
    """One Function, over the Runs that were looked at. What only the trace tells is of the first 2,000 of each Run.

    Attributes:
        function: its name.
        is_workflow: whether its body calls Functions; then its times are those of that body.
        runs: in how many Runs it was called.
        attempts: Attempts, and items of maps, that were entered and have ended.
        failed: how many of them failed; those that were cancelled, or never entered, don't count.
        p50_s, p99_s, max_s: half of them, 99 of 100, and all were in their body for no longer, in seconds. An item
            counts with its share of the Batch in which it ran.
        body_s: time in bodies, in all, in seconds.
        batches: how often some were given to a Sandbox together, or one alone; the trace tells.
        batch_max: how many of the largest Batch.
        batch_mean: how many on average; 0 where there is no trace.
        cold_starts: Sandboxes that were made for it; the trace tells.
        cold_start_s: how long the making of each took on average, in seconds; 0 where there was none.
        values: values of it that were recorded.
        inline_bytes: size of those that lie in the Journal, in bytes.
        blob_bytes: size of those that lie in files beside it, in bytes.
        unrecorded_bytes: size of values that have no record, since they can be computed again; the trace tells.
        read_bytes, read_s: Objects that its Attempts took, and how long getting at their bytes kept them, in seconds.
        written_bytes, written_s: Objects that they made, and how long that kept them, in seconds; the trace tells.
    """

    function: str
    is_workflow: bool
    runs: int
    attempts: int
    failed: int
    p50_s: float
    p99_s: float
    max_s: float
    body_s: float
    batches: int
    batch_max: int
    batch_mean: float
    cold_starts: int
    cold_start_s: float
    values: int
    inline_bytes: int
    blob_bytes: int
    unrecorded_bytes: int
    read_bytes: int
    read_s: float
    written_bytes: int
    written_s: float


class FunctionsFold:
    """The fold behind the statistics: Run after Run, in any order."""

    def __init__(self) -> None:
        self._by_name: dict[str, _Counts] = {}

    def add(self, rows: Sequence[Row], trace: Sequence[Traced]) -> None:
        """Take in a Run, as far as it has come."""
        calls = Calls()
        for row in rows:
            calls.add(row)
        seen = _OfRun(self._by_name, calls)
        for row in rows:
            for record in row.records:
                match record:
                    case Settled():
                        seen.settled(record)
                    case ItemsSettled():
                        seen.items(record)
                    case AttemptFailed():
                        seen.ran(record.step, record.ran, failed=1)
                    case Ended():
                        seen.ended(record)
                    case _:
                        pass
        for left in unrecorded(rows, trace):
            seen.ran(left.step, left.ran, count=max(1, left.items))
            seen.of(left.step).unrecorded_bytes += left.nbytes
        seen.traced(trace)

    def views(self) -> list[FunctionView]:
        """Return all Functions, those that took most of the time first."""
        return sorted((counts.view() for counts in self._by_name.values()), key=lambda view: -view.body_s)


class _Counts:
    """What was seen of one Function."""

    def __init__(self, function: str) -> None:
        self.function = function
        self.is_workflow = False
        self.runs = 0
        self.failed = 0
        self.lengths: list[tuple[float, int]] = []
        self.batch_sizes: list[int] = []
        self.cold_starts: list[float] = []
        self.values = 0
        self.inline_bytes = 0
        self.blob_bytes = 0
        self.unrecorded_bytes = 0
        self.moved = [0.0, 0.0, 0.0, 0.0]

    def keep(self, datas: Iterable[Data | None]) -> None:
        for data in datas:
            match data:
                case Inline():
                    self.values += 1
                    self.inline_bytes += len(data.data)
                case Blob():
                    self.values += 1
                    self.blob_bytes += data.nbytes
                case _:
                    pass

    def view(self) -> FunctionView:
        lengths = sorted(self.lengths)
        sizes, starts = self.batch_sizes, self.cold_starts
        read_bytes, read_s, written_bytes, written_s = self.moved
        return FunctionView(
            self.function,
            self.is_workflow,
            self.runs,
            sum(count for _, count in lengths),
            self.failed,
            percentile(lengths, 0.5),
            percentile(lengths, 0.99),
            lengths[-1][0] if lengths else 0.0,
            sum(length_s * count for length_s, count in lengths),
            len(sizes),
            max(sizes, default=0),
            sum(sizes) / len(sizes) if sizes else 0.0,
            len(starts),
            sum(starts) / len(starts) if starts else 0.0,
            self.values,
            self.inline_bytes,
            self.blob_bytes,
            self.unrecorded_bytes,
            int(read_bytes),
            read_s,
            int(written_bytes),
            written_s,
        )


class _OfRun:
    """One Run, taken into the counts of its Functions."""

    def __init__(self, by_name: dict[str, _Counts], calls: Calls) -> None:
        self._by_name = by_name
        self._calls = calls
        self._met: set[str] = set()

    def of(self, step: StepId) -> _Counts:
        """Return the counts of the Function that a Step calls."""
        call = self._calls.by_step.get(step)
        name = call.function if call is not None else step
        counts = self._by_name.setdefault(name, _Counts(name))
        counts.is_workflow = counts.is_workflow or step in self._calls.bodies
        if name not in self._met:
            self._met.add(name)
            counts.runs += 1
        return counts

    def ran(self, step: StepId, ran: Ran, *, count: int = 1, failed: int = 0) -> None:
        if ran.entered_at:
            counts = self.of(step)
            counts.lengths.append((max(0.0, ran.left_at - ran.entered_at) / count, count))
            counts.failed += failed

    def settled(self, record: Settled) -> None:
        for done in record.outcomes:
            if isinstance(done.outcome, Failure):
                was_cancelled = done.outcome.reason is Reason.CANCELLED
                self.ran(done.step, done.ran, failed=0 if was_cancelled or done.cause else 1)
            elif done.cause not in ("kept", "timer", "signal", "first", "fixed"):
                self.ran(done.step, done.ran)
                if done.ran.entered_at:
                    self.of(done.step).keep([done.outcome.value.data])

    def items(self, record: ItemsSettled) -> None:
        count = sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
        if count:
            self.ran(record.step, record.ran, count=count, failed=len(record.failures))
            self.of(record.step).keep(payload.data for _, _, payload in record.values)

    def ended(self, record: Ended) -> None:
        if self._calls.root is not None:
            has_failed = record.status == "failed" and record.failure is not None
            is_own = has_failed and record.failure is not None and record.failure.origin == self._calls.root
            self.ran(self._calls.root, record.ran, failed=1 if is_own else 0)

    def traced(self, trace: Sequence[Traced]) -> None:
        fresh: dict[float, float] = {}
        for row in trace:
            if row.kind == "sandbox":
                fresh[number(row, "sandbox")] = number(row, "start_s")
            elif row.kind == "batch" and row.step in self._calls.by_step:
                counts = self.of(row.step)
                counts.batch_sizes.append(int(number(row, "size")))
                start_s = fresh.pop(number(row, "sandbox"), None)
                if start_s is not None:
                    counts.cold_starts.append(start_s)
            elif row.kind == "moved" and row.step in self._calls.by_step:
                moved = self.of(row.step).moved
                for place, name in enumerate(("read_bytes", "read_s", "written_bytes", "written_s")):
                    moved[place] += number(row, name)


def percentile(lengths: Sequence[tuple[float, int]], share: float) -> float:
    """Return the least length that so large a share of all does not exceed; 0 where there is none.

    Args:
        lengths: in ascending order, each with how often it counts.
        share: from 0 to 1.
    """
    wanted = share * sum(count for _, count in lengths)
    for length, below in _summed(lengths):
        if below >= wanted:
            return length
    return 0.0


def _summed(lengths: Sequence[tuple[float, int]]) -> Iterator[tuple[float, int]]:
    below = 0
    for length, count in lengths:
        below += count
        yield length, below
