"""Every Step of a Run with how it stands: one value per Step, and one per map however many items it has.

Only what is recorded counts as settled; that a Step is running is known from the trace and is therefore provisional.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from weftrun.machines.checkpoint import may_lack_record
from weftrun.machines.run import dropped_signals
from weftrun.model.ids import StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import NOT_RUN, Failure, Reason, Status
from weftrun.model.records import AttemptFailed, AttemptStarted, Ended, ForkedFrom, ItemsSettled, Retried, Row, Settled
from weftrun.model.values import size_of
from weftrun.views.calls import Calls, CallView
from weftrun.views.came import CameView, Ways
from weftrun.views.running import RunningView
from weftrun.views.step import StepSeen, StepView, length_s
from weftrun.views.trace import Traced, handed_of, number
from weftrun.views.unrecorded import Unrecorded, unrecorded


def steps(rows: Sequence[Row], trace: Sequence[Traced] = (), running: Sequence[RunningView] = ()) -> list[StepView]:
    """Return all Steps of a Run in the order of its graph: the root first, each Step before those that need it.

    The calls of a Workflow's body follow it, in the order in which it made them.
    """
    return list(StepsFold.of(rows, trace, running).views())


_INLINE_BYTES_MAX = DEFAULT_LIMITS.inline_bytes_max


class StepsFold:
    """The fold behind `steps`, for those who see a Run grow: rows in order, and what stands after them at any time.

    Attributes:
        calls: who called what.
        ended: the last record, once it is there.
        value_bytes: encoded size of all values that were recorded, in bytes.
        life: of the Run, from 1; more where it was retried (L1).
    """

    def __init__(self) -> None:
        self.calls = Calls()
        self.ended: Ended | None = None
        self._ran_before = NOT_RUN
        self.value_bytes = 0
        self.life = 1
        self._ended_at = 0.0
        self._owned_since = 0.0
        self._begun: list[float] = []
        self._skipped: set[StepId] = set()
        self._seen: dict[StepId, StepSeen] = {}
        self._running: dict[str, list[RunningView]] = {}
        self._ways = Ways()

    @classmethod
    def of(cls, rows: Sequence[Row], trace: Sequence[Traced] = (), running: Sequence[RunningView] = ()) -> StepsFold:
        """Fold rows, what the trace tells of running Steps, and what was seen running."""
        fold = cls()
        for view in running:
            fold.runs(view)
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
                        seen = self._recorded(outcome.step)
                        if not isinstance(outcome.outcome, Failure):
                            seen.value_bytes = size_of(outcome.outcome.value.data)
                            self.value_bytes += seen.value_bytes
                        seen.settle(outcome, row.at)
                case ItemsSettled():
                    nbytes = sum(size_of(payload.data) for _, _, payload in record.values)
                    self.value_bytes += nbytes
                    seen = self._recorded(record.step)
                    seen.value_bytes += nbytes
                    seen.settle_items(record, row.at)
                case AttemptFailed():
                    self._recorded(record.step).fail_attempt(record)
                case AttemptStarted():
                    seen = self._recorded(record.step)
                    seen.attempts = max(seen.attempts, record.attempt)
                case Ended():
                    self.ended, self._ended_at = record, row.at
                case ForkedFrom():
                    self._begun.append(row.at)
                case Retried():
                    self._begun.append(row.at)
                    self._begin_life(record.life)
                case _:
                    pass

    def _begin_life(self, life: int) -> None:
        """Take back what failed, but inside what succeeded."""
        self.life = life
        if self.ended is not None and self.ended.ran.entered_at:
            self._ran_before = self.ended.ran
        free = {step: seen.outcome for step, seen in self._seen.items() if not self._is_inside_of_success(step)}
        failures = [o.outcome for o in free.values() if o is not None and isinstance(o.outcome, Failure)]
        ended = [self.ended.failure] if self.ended is not None else []
        for step in dropped_signals([*failures, *ended], free.get):
            self._seen[step].outcome = self._seen[step].settled_at = None
        self.ended = None
        for step, seen in self._seen.items():
            if not self._is_inside_of_success(step):
                seen.take_back()

    def _is_inside_of_success(self, step: StepId) -> bool:
        call = self.calls.by_step.get(step)
        while call is not None and call.body != self.calls.root and call.number >= 0:
            if self._has_succeeded(call.body):
                return True
            call = self.calls.by_step.get(call.body)
        return False

    def told(self, entry: Traced) -> None:
        """Take in a row of the trace: a Batch given to a Sandbox tells that its Step is running."""
        if entry.kind == "note" and "epoch" in entry.facts:
            self._owned_since = max(self._owned_since, entry.at)
        if entry.kind == "moved" and entry.step in self.calls.by_step:
            seen = self._of(entry.step)
            seen.read_bytes += int(number(entry, "read_bytes"))
            seen.read_s += number(entry, "read_s")
            seen.written_bytes += int(number(entry, "written_bytes"))
            seen.written_s += number(entry, "written_s")
            seen.clients_made += int(number(entry, "clients_made"))
            seen.clients_used += int(number(entry, "clients_used"))
        if entry.kind == "came":
            self._ways.add(entry)
        if entry.kind == "call":
            self.calls.handed_over(handed_of(entry), entry.at)
        if entry.kind == "batch" and entry.step and entry.step in self.calls.by_step:
            seen = self._of(entry.step)
            seen.given_at, seen.given_to = entry.at, int(number(entry, "sandbox"))
            seen.given_attempt = entry.attempt

    def runs(self, view: RunningView) -> None:
        """Take in what was seen running: a Step's own Attempt, or an item of a map."""
        name, dot, item = view.step.rpartition(".")
        self._running.setdefault(name if dot and item.isdigit() else view.step, []).append(view)

    def left_out(self, left: Unrecorded) -> None:
        """Take in a success without a record, unless the engine that knew of it is gone."""
        call = self.calls.by_step.get(left.step)
        if call is not None and left.at >= self._owned_since:
            self._of(left.step).leave_out(left)

    def views(self) -> Iterator[StepView]:
        """Return all Steps as they stand now, in the order of the graph: the root first, children after parents."""
        self._skipped = self._without_records()
        for call in self.calls.in_order():
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

    def _of(self, step: StepId) -> StepSeen:
        seen = self._seen.get(step)
        if seen is None:
            seen = self._seen[step] = StepSeen()
        return seen

    def _recorded(self, step: StepId) -> StepSeen:
        """Return what was seen of a Step of which a record of the current life tells."""
        seen = self._of(step)
        seen.life = self.life
        return seen

    def _root(self, call: CallView) -> StepView:
        seen = self._seen.get(call.id) or StepSeen()
        ended = self.ended
        if ended is None:
            return seen.view(call, "running", waited_s=0.0, running=self._running.get(call.id, ()))
        seen = StepSeen()
        seen.life = self.life
        # What a `def` body has wired stands: a later life does not enter it again (B1).
        seen.ran = ended.ran if ended.ran.entered_at else self._ran_before
        seen.attempts = ended.attempt
        seen.body_s = length_s(seen.ran)
        seen.settled_at = self._ended_at
        seen.failure = ended.failure
        return seen.view(call, ended.status, waited_s=self._waited_s(call, seen.ran.entered_at))

    def _view(self, call: CallView) -> StepView:
        seen = self._seen.get(call.id) or _NOTHING
        items = self.calls.items.get(call.id) if call.is_map else None
        running = [view for view in self._running.get(call.id, ()) if call.is_map or view.attempt > seen.failed]
        status = self._status(call, seen, items)
        if status == "pending" and any(view.lives for view in running):
            status = "running"
        waited_s = self._waited_s(call, seen.entered_at)
        came = self._came(call, seen)
        return seen.view(call, status, waited_s=waited_s, items=items, running=running, came=came)

    def _came(self, call: CallView, seen: StepSeen) -> Iterator[CameView]:
        """Yield how the Objects that a call takes came to where it ran."""
        if call.is_map or not seen.ran.sandbox:
            return
        made = ((step, self._seen[step]) for step in self.calls.producers(call) if step in self._seen)
        values = ((step, one.ran.sandbox, one.value_bytes) for step, one in made if one.value_bytes > _INLINE_BYTES_MAX)
        yield from self._ways.to(seen.ran.sandbox, values)

    def _waited_s(self, call: CallView, entered_at: float) -> float:
        """Return how long a Step waited to be entered: in a fork, or in another life, from when that began."""
        began_at = max((at for at in self._begun if at <= entered_at), default=0.0)
        return max(0.0, entered_at - max(self.ready_at(call), began_at)) if entered_at else 0.0

    def _status(self, call: CallView, seen: StepSeen, items: int | None) -> Status:
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
        # The trace may tell that a Batch went when its Attempt has failed already.
        is_given = (
            seen.given_at > max(seen.ran.left_at, self._owned_since) and not 0 < seen.given_attempt <= seen.failed
        )
        return "running" if seen.settled or call.id in self.calls.ended or is_given else "pending"

    def _is_left_out(self, call: CallView, seen: StepSeen, items: int | None) -> bool:
        """Say whether a Step without a whole record has succeeded all the same."""
        told = seen.left_out_at is not None and seen.settled + seen.items_left_out >= (items or 0)
        return told or call.id in self._skipped

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


_NOTHING = StepSeen()
"""Stands for Steps of which no record tells yet; never written to."""
