"""One Step as it stands, and what records told of it so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from weftrun.model.ids import StepId
from weftrun.model.outcomes import ITEMS_SHOWN, NOT_RUN, Failure, Ran, Status
from weftrun.model.records import AttemptFailed, ItemsSettled, StepOutcome
from weftrun.views.calls import CallView
from weftrun.views.came import CameView
from weftrun.views.running import RunningView
from weftrun.views.unrecorded import Unrecorded, reason


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
        cause: why it settled without running: `argument`, `limit`, `cancelled`, `kept` (from an earlier life),
            `put` (by its Step before that ended: `entered_at` says when); else empty.
        due_at: when the next Attempt of a Step that waits is due, in seconds since the epoch, or None.
        is_map: whether it has items.
        items: how many items; None while the map's input is not complete.
        items_done: items that succeeded.
        items_failed: items that failed for good.
        unrecorded: why it succeeded without a record, in a word or two; empty where it has one or has not succeeded.
            Where only the trace tells that it has, a crash would have it run again.
        given_at: when its last Batch went to a Sandbox, in seconds since the epoch; None where it is over, or no trace
            tells.
        running: what was seen running of it: its Attempt, or items of it. Only what runs for a second or more is seen.
        life: in which life of the Run it settled, or was tried last: 1, and more where the Run was retried (L1).
        read_bytes, read_s: Objects that its Attempts took, and how long getting at their bytes kept them, in seconds.
            The trace tells it, of the first 2,000 Attempts of a Run that moved any.
        written_bytes, written_s: Objects that they made, and how long that kept them, in seconds.
        clients_made, clients_used: of `weftrun.shared` in the processes of its Attempts, how many objects were made,
            and how often one that was there was used. Attempts that share a Sandbox tell of it together.
        came: how the Objects that it takes came to its host; of a map nothing, since its items run on many.
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
    given_at: float | None = None
    running: tuple[RunningView, ...] = ()
    life: int = 1
    read_bytes: int = 0
    read_s: float = 0.0
    written_bytes: int = 0
    written_s: float = 0.0
    clients_made: int = 0
    clients_used: int = 0
    came: tuple[CameView, ...] = ()


class StepSeen(Struct, eq=False):
    """What records told of one Step so far."""

    attempts: int = 0
    body_s: float = 0.0
    due_at: float | None = None
    entered_at: float = 0.0
    failed: int = 0
    failure: Failure | None = None
    given_at: float = 0.0
    given_attempt: int = 0
    given_to: int = 0
    first: tuple[int, str] | None = None
    items_failed: int = 0
    items_left_out: int = 0
    left_out_at: float | None = None
    life: int = 1
    outcome: StepOutcome | None = None
    ran: Ran = NOT_RUN
    settled: int = 0
    settled_at: float | None = None
    value_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    read_s: float = 0.0
    written_s: float = 0.0
    clients_made: int = 0
    clients_used: int = 0

    def take_back(self) -> None:
        """Another life begins: what failed may settle again, and nothing waits for a due time."""
        if self.outcome is not None and isinstance(self.outcome.outcome, Failure):
            self.outcome = self.settled_at = None
        self.settled -= self.items_failed
        self.items_failed = 0
        self.due_at = None

    def settle(self, outcome: StepOutcome, at: float) -> None:
        """Take in an outcome that was decided at `at`."""
        self.outcome = outcome
        self.settled_at = at
        self.attempts = max(self.attempts, outcome.attempt)
        self.due_at = None
        self.failure = outcome.outcome if isinstance(outcome.outcome, Failure) else None
        if outcome.cause != "kept":
            self._add(outcome.ran)

    def settle_items(self, record: ItemsSettled, at: float) -> None:
        """Take in outcomes of items that were decided at `at`."""
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
        """Take in a success without a record."""
        self.left_out_at = max(left.at, self.left_out_at or 0.0, self.settled_at or 0.0)
        self.items_left_out += left.items
        self.value_bytes += left.nbytes
        if not left.items:
            self.attempts = max(self.attempts, left.attempt)
        self._add(left.ran)

    def fail_attempt(self, record: AttemptFailed) -> None:
        """Take in an Attempt that failed and is not the last."""
        self.attempts = max(self.attempts, record.attempt)
        self.failed = record.attempt
        self.due_at = record.due_at
        self.failure = record.failure
        self._add(record.ran)

    def _add(self, ran: Ran) -> None:
        self.body_s += length_s(ran)
        if ran.entered_at:
            self.entered_at = min(self.entered_at or ran.entered_at, ran.entered_at)
        if ran.left_at >= self.ran.left_at:
            self.ran = ran

    def view(
        self,
        call: CallView,
        status: Status,
        *,
        waited_s: float,
        items: int | None = None,
        running: Sequence[RunningView] = (),
        came: Iterable[CameView] = (),
    ) -> StepView:
        """Return the Step as it stands."""
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
            self.given_to if status == "running" and self.given_to else self.ran.sandbox,
            self._first_items(items) if call.is_map else self.ran.preview,
            "" if status == "succeeded" else error_line(self.failure),
            self.outcome.cause if self.outcome is not None else "",
            None if over or (status == "running" and not call.is_map) else self.due_at,
            call.is_map,
            items,
            done,
            self.items_failed,
            reason(call.spec) if left_out and call.spec is not None else "",
            self.given_at or None if status == "running" else None,
            () if over else tuple(running),
            self.life,
            self.read_bytes,
            self.read_s,
            self.written_bytes,
            self.written_s,
            self.clients_made,
            self.clients_used,
            tuple(came),
        )

    def _first_items(self, items: int | None) -> str:
        """Return the preview of a map's first items, and that more follow where they do."""
        if self.first is None:
            return ""
        count, preview = self.first
        whole = items is not None and items <= min(count, ITEMS_SHOWN)
        return preview if whole or not preview.endswith("]") else f"{preview[:-1]}, …]"


def error_line(failure: Failure | None) -> str:
    """Return type and first line of a failure, and where it came from; empty for None."""
    if failure is None:
        return ""
    first = failure.message.strip().partition("\n")[0]
    return f"{failure.type}: {first}" if first else failure.type


def length_s(ran: Ran) -> float:
    """Return how long a body ran, in seconds."""
    return max(0.0, ran.left_at - ran.entered_at)
