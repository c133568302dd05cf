"""Every Step of a Run with how it stands: one value per Step, and one per map however many items it has.

Only what is recorded counts as settled; that a Step is running is known from the trace and is therefore provisional.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from weftrun.machines.checkpoint import may_lack_record
from weftrun.model.ids import StepId
from weftrun.model.outcomes import ITEMS_SHOWN, Failure, Ran, Reason, Status
from weftrun.model.records import AttemptFailed, AttemptStarted, Ended, ItemsSettled, Row, Settled, StepOutcome
from weftrun.model.values import Data, Inline
from weftrun.views.calls import Calls, CallView
from weftrun.views.trace import Traced
from weftrun.views.unrecorded import Unrecorded, reason, unrecorded


class StepView(Struct, frozen=True, gc=False):
    """One Step, or one map with all its items.

    Attributes:
        id: path of the Step in its Run.
        function: name of its Function.
        status: how it stands.
        attempts: number of the last Attempt that is known; of a map, the highest of any item.
        entered_at: when its last Attempt (of a map, its first Batch) was entered, in seconds since the epoch, or None.
        left_at: when its last Attempt (of a map, its last Batch) was left, in seconds since the epoch, or None.
        settled_at: when its outcome was decided, in seconds since the epoch, or None.
        waited_s: from when everything it needs had settled until it was entered, in seconds.
        body_s: time spent in its bodies, all Attempts and items together, in seconds.
        sandbox: number of the Sandbox of its last Attempt; 0 where there was none.
        preview: of its value, as the guest wrote it; of a map, of the results of its first items.
        error: type and message of its failure, or of that of its last Attempt.
        cause: why it settled without running: `argument`, `limit`, `cancelled`; else empty.
        due_at: when its next Attempt is due, in seconds since the epoch, or None.
        is_map: whether it has items.
        items: how many items; None while the map's input is not complete.
        items_done: items that succeeded.
        items_failed: items that failed for good.
        unrecorded: why it succeeded without a record, in a word or two; empty where it has one or has not succeeded.
            Where only the trace tells that it has, a crash would have it run again.
    """

    id: StepId
    function: str
    status: Status
    attempts: int = 0
    entered_at: float | None = None
    left_at: float | None = None
    settled_at: float | None = None
    waited_s: float = 0.0
    body_s: float = 0.0
    sandbox: int = 0
    preview: str = ""
    error: str = ""
    cause: str = ""
    due_at: float | None = None
    is_map: bool = False
    items: int | None = None
    items_done: int = 0
    items_failed: int = 0
    unrecorded: str = ""


def steps(rows: Sequence[Row], trace: Sequence[Traced] = ()) -> list[StepView]:
    """Return all Steps of a Run, the root first, then in the order in which they became known."""
    return list(StepsFold.of(rows, trace).views())


class StepsFold:
    """The fold behind `steps`, for those who see a Run grow: rows in order, and what stands after them at any time.

    Attributes:
        calls: who called what.
        ended: the last record, once it is there.
        value_bytes: encoded size of all values that were recorded, in bytes.
    """

    def __init__(self) -> None:
        self.calls = Calls()
        self.ended: Ended | None = None
        self.value_bytes = 0
        self._ended_at = 0.0
        self._owned_since = 0.0
        self._spared: set[StepId] = set()
        self._seen: dict[StepId, _Seen] = {}

    @classmethod
    def of(cls, rows: Sequence[Row], trace: Sequence[Traced] = ()) -> StepsFold:
        """Fold rows, and what the trace tells of running Steps."""
        fold = cls()
        for row in rows:
            fold.add(row)
        for entry in trace:
            fold.told(entry)
        for left in unrecorded(rows, trace):
            fold.left_out(left)
        return fold

    def add(self, row: Row) -> None:
        """Take in the next row of the Run."""
        self.calls.add(row)
        for record in row.records:
            match record:
                case Settled():
                    for outcome in record.outcomes:
                        if not isinstance(outcome.outcome, Failure):
                            self.value_bytes += _nbytes(outcome.outcome.value.data)
                        self._of(outcome.step).settle(outcome, row.at)
                case ItemsSettled():
                    self.value_bytes += sum(_nbytes(payload.data) for _, _, payload in record.values)
                    self._of(record.step).settle_items(record, row.at)
                case AttemptFailed():
                    self._of(record.step).fail_attempt(record)
                case AttemptStarted():
                    seen = self._of(record.step)
                    seen.attempts = max(seen.attempts, record.attempt)
                case Ended():
                    self.ended, self._ended_at = record, row.at
                case _:
                    pass

    def told(self, entry: Traced) -> None:
        """Take in a row of the trace: a Batch given to a Sandbox tells that its Step is running."""
        if entry.kind == "note" and "epoch" in entry.facts:
            self._owned_since = max(self._owned_since, entry.at)
        if entry.kind == "batch" and entry.step and entry.step in self.calls.by_step:
            self._of(entry.step).given_at = entry.at

    def left_out(self, left: Unrecorded) -> None:
        """Take in a success without a record, unless the engine that knew of it is gone."""
        call = self.calls.by_step.get(left.step)
        if call is not None and left.at >= self._owned_since:
            self._of(left.step).leave_out(left)

    def views(self) -> Iterator[StepView]:
        """Return all Steps as they stand now."""
        self._spared = self._without_records()
        for call in self.calls.by_step.values():
            yield self._root(call) if call.number < 0 else self._view(call)

    def settled_at(self, step: StepId) -> float | None:
        """Return when the outcome of a Step was decided, in seconds since the epoch; None while it is open."""
        seen = self._seen.get(step)
        if seen is None:
            return None
        if seen.outcome is None and seen.settled < (self.calls.items.get(step) or 1):
            return None
        return seen.settled_at

    def ready_at(self, call: CallView) -> float:
        """Return when all that a call needs was there, in seconds since the epoch."""
        made_at = 0.0 if call.observed else self._made_at(call)
        return max([made_at, *(self.settled_at(step) or 0.0 for step in self.calls.needs(call))])

    def _made_at(self, call: CallView) -> float:
        """Return when a call was made, as far as records tell: with its body's graph, or with the body's own call."""
        if call.number < 0 or (call.spec is not None and call.body in self.calls.ended):
            return call.at
        owner = self.calls.by_step.get(call.body)
        return self.ready_at(owner) if owner is not None else 0.0

    def _of(self, step: StepId) -> _Seen:
        seen = self._seen.get(step)
        if seen is None:
            seen = self._seen[step] = _Seen()
        return seen

    def _root(self, call: CallView) -> StepView:
        seen = self._seen.get(call.id) or _Seen()
        ended = self.ended
        if ended is None:
            return seen.view(call, "running", waited_s=0.0)
        seen = _Seen()
        seen.ran, seen.attempts = ended.ran, ended.attempt
        seen.body_s = _length_s(ended.ran)
        seen.settled_at = self._ended_at
        seen.failure = ended.failure
        return seen.view(call, ended.status, waited_s=self._waited_s(call, ended.ran.entered_at))

    def _view(self, call: CallView) -> StepView:
        seen = self._seen.get(call.id) or _NOTHING
        items = self.calls.items.get(call.id) if call.is_map else None
        status = self._status(call, seen, items)
        return seen.view(call, status, waited_s=self._waited_s(call, seen.entered_at), items=items)

    def _waited_s(self, call: CallView, entered_at: float) -> float:
        return max(0.0, entered_at - self.ready_at(call)) if entered_at else 0.0

    def _status(self, call: CallView, seen: _Seen, items: int | None) -> Status:
        outcome = seen.outcome
        if outcome is not None:
            if not isinstance(outcome.outcome, Failure):
                return "succeeded"
            return "cancelled" if outcome.outcome.reason is Reason.CANCELLED else "failed"
        if items is not None and seen.settled >= items:
            return "failed" if seen.items_failed else "succeeded"
        if self._is_left_out(call, seen, items):
            return "succeeded"
        if self._is_over(call.body):
            return "cancelled"
        if seen.settled or call.id in self.calls.ended or seen.given_at > seen.ran.left_at:
            return "running"
        return "pending"

    def _is_left_out(self, call: CallView, seen: _Seen, items: int | None) -> bool:
        """Say whether a Step without a whole record has succeeded all the same."""
        told = seen.left_out_at is not None and seen.settled + seen.items_left_out >= (items or 0)
        return told or call.id in self._spared

    def _without_records(self) -> set[StepId]:
        """Return the Steps without records that have succeeded, since their body did, or a Step that took them began.

        The policy of a call that no graph holds stands nowhere; in a body that succeeded it has settled all the same
        (N1). The trace may not tell of them: it is bounded, and a crash may lose it.
        """
        calls = self.calls
        open_ = {
            call.id: call
            for call in calls.by_step.values()
            if call.number >= 0 and (call.spec is None or may_lack_record(call.spec)) and self._is_open(call)
        }
        if not open_:
            return set()
        found = {step for step, call in open_.items() if self._has_succeeded(call.body)}
        for call in reversed(calls.by_step.values()):  # a call takes values of earlier ones
            seen = self._seen.get(call.id)
            began = call.id in found or call.id in calls.ended or (seen is not None and seen.was_entered)
            if began:
                found.update(step for step in (*calls.producers(call), *calls.predecessors(call)) if step in open_)
        return found

    def _is_open(self, call: CallView) -> bool:
        seen = self._seen.get(call.id)
        if seen is None:
            return True
        return seen.outcome is None and not (call.is_map and seen.settled >= self.calls.items.get(call.id, 1))

    def _has_succeeded(self, body: StepId) -> bool:
        if body == self.calls.root:
            return self.ended is not None and self.ended.status == "succeeded"
        seen = self._seen.get(body)
        return seen is not None and seen.outcome is not None and not isinstance(seen.outcome.outcome, Failure)

    def _is_over(self, body: StepId) -> bool:
        """Say whether a body, or one around it, has settled: what is open inside was cancelled then."""
        while body and body != self.calls.root:
            if (seen := self._seen.get(body)) is not None and seen.outcome is not None:
                return True
            owner = self.calls.by_step.get(body)
            body = owner.body if owner is not None else StepId("")
        return self.ended is not None


class _Seen:
    """What records told of one Step so far."""

    __slots__ = (
        "attempts",
        "body_s",
        "due_at",
        "entered_at",
        "failure",
        "first",
        "given_at",
        "items_failed",
        "items_left_out",
        "left_out_at",
        "outcome",
        "ran",
        "settled",
        "settled_at",
    )

    def __init__(self) -> None:
        self.attempts = 0
        self.body_s = 0.0
        self.due_at: float | None = None
        self.entered_at = 0.0
        self.failure: Failure | None = None
        self.given_at = 0.0
        self.first: tuple[int, str] | None = None
        self.items_failed = 0
        self.items_left_out = 0
        self.left_out_at: float | None = None
        self.outcome: StepOutcome | None = None
        self.ran = Ran()
        self.settled = 0
        self.settled_at: float | None = None

    def settle(self, outcome: StepOutcome, at: float) -> None:
        self.outcome = outcome
        self.settled_at = at
        self.attempts = max(self.attempts, outcome.attempt)
        self.due_at = None
        self.failure = outcome.outcome if isinstance(outcome.outcome, Failure) else None
        self._add(outcome.ran)

    def settle_items(self, record: ItemsSettled, at: float) -> None:
        self.settled += sum(hi - lo for lo, hi, _ in record.values) + len(record.failures)
        self.items_failed += len(record.failures)
        self.settled_at = at
        self.attempts = max(self.attempts, 1, *(item.failure.attempt for item in record.failures))
        if record.failures and self.failure is None:
            self.failure = record.failures[0].failure
        if record.values and record.values[0][0] == 0:
            self.first = record.values[0][1], record.ran.preview
        self._add(record.ran)

    @property
    def was_entered(self) -> bool:
        """Whether a record tells that it had all it takes."""
        return bool(self.settled or self.attempts) and (self.outcome is None or not self.outcome.cause)

    def leave_out(self, left: Unrecorded) -> None:
        self.left_out_at = max(left.at, self.left_out_at or 0.0, self.settled_at or 0.0)
        self.items_left_out += left.items
        if not left.items:
            self.attempts = max(self.attempts, left.attempt)
        self._add(left.ran)

    def fail_attempt(self, record: AttemptFailed) -> None:
        self.attempts = max(self.attempts, record.attempt)
        self.due_at = record.due_at
        self.failure = record.failure
        self._add(record.ran)

    def _add(self, ran: Ran) -> None:
        self.body_s += _length_s(ran)
        if ran.entered_at:
            self.entered_at = min(self.entered_at or ran.entered_at, ran.entered_at)
        if ran.left_at >= self.ran.left_at:
            self.ran = ran

    def view(self, call: CallView, status: Status, *, waited_s: float, items: int | None = None) -> StepView:
        entered_at = self.entered_at if call.is_map else self.ran.entered_at
        over = status in ("succeeded", "failed", "cancelled")
        left_out = status == "succeeded" and self.outcome is None and self.settled < (items or 1) and call.number >= 0
        done = items if left_out and items is not None else self.settled - self.items_failed
        return StepView(
            call.id,
            call.function,
            status,
            self.attempts,
            entered_at or None,
            self.ran.left_at or None,
            (self.left_out_at if left_out else self.settled_at) if over else None,
            waited_s,
            self.body_s,
            self.ran.sandbox,
            self._first_items(items) if call.is_map else self.ran.preview,
            "" if status == "succeeded" else error_line(self.failure),
            self.outcome.cause if self.outcome is not None else "",
            None if over else self.due_at,
            call.is_map,
            items,
            done,
            self.items_failed,
            reason(call.spec) if left_out and call.spec is not None else "",
        )

    def _first_items(self, items: int | None) -> str:
        """Return the preview of a map's first items, and that more follow where they do."""
        if self.first is None:
            return ""
        count, preview = self.first
        whole = items is not None and items <= min(count, ITEMS_SHOWN)
        return preview if whole or not preview.endswith("]") else f"{preview[:-1]}, …]"


_NOTHING = _Seen()
"""Stands for Steps of which no record tells yet; never written to."""


def error_line(failure: Failure | None) -> str:
    """Return type and first line of a failure, and where it came from; empty for None."""
    if failure is None:
        return ""
    first = failure.message.strip().partition("\n")[0]
    return f"{failure.type}: {first}" if first else failure.type


def _nbytes(data: Data) -> int:
    return len(data.data) if isinstance(data, Inline) else data.nbytes


def _length_s(ran: Ran) -> float:
    return max(0.0, ran.left_at - ran.entered_at)
