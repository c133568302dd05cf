"""When and where bodies ran: spans in lanes, a lane per Sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.hosts import SANDBOXES_EACH
from weftrun.model.ids import RunId, StepId, item_step
from weftrun.model.outcomes import Failure, Ran, Status
from weftrun.model.records import AttemptFailed, Ended, ItemsSettled, RollbackFailed, Row, Settled
from weftrun.views.calls import Calls, label_of, start_of
from weftrun.views.came import Transfer, transfers
from weftrun.views.handovers import handovers
from weftrun.views.running import RunningView, last_line
from weftrun.views.step import error_line
from weftrun.views.steps import StepsFold
from weftrun.views.time_breakdown import Interval, TimeBreakdown, merge, time_breakdown, waits_for_disk
from weftrun.views.trace import Traced, number
from weftrun.views.unrecorded import Unrecorded, unrecorded


class Span(Struct, frozen=True, gc=False):
    """One Attempt, one Batch of a map's items, or many short ones side by side.

    Attributes:
        sandbox: number of the Sandbox; the lane.
        entered_at, left_at: seconds since the epoch.
        label: name of the Function, as StepIds show it.
        step: the Step, or the first of many.
        attempt: its number, or the highest of many.
        count: Attempts or items in it.
        failed: how many of them failed.
        is_body: whether it is the body of a Workflow, which holds no Function's place while it waits.
        text: preview or error, for people; of what runs, the last line that was printed.
        is_running: whether it had not ended when it was seen last, which is then its `left_at`.
        read_s, written_s: how long getting at the bytes of Objects, and making Objects, kept it, in seconds, where the
            trace tells.
    """

    sandbox: int
    entered_at: float
    left_at: float
    label: str
    step: StepId
    attempt: int = 1
    count: int = 1
    failed: int = 0
    is_body: bool = False
    text: str = ""
    is_running: bool = False
    read_s: float = 0.0
    written_s: float = 0.0


class Mark(Struct, frozen=True):
    """A moment in which a Run passed from one engine to another.

    Attributes:
        at: in seconds since the epoch; of a `crash`, the last that is known of the engine that was gone then.
        kind: `engine` (one has it from here on), `crash`, `takeover`, or `woken` (it had been suspended to wait).
        text: what to say of it.
    """

    at: float
    kind: str
    text: str


class TimelineLane(Struct, frozen=True):
    """All spans of one Sandbox, by the time they were entered.

    Attributes:
        worker: number of the Worker that has the Sandbox; 0 for the engine's own process.
        host: where that is; empty where the trace does not tell it.
        began_at, start_s: when the Sandbox was asked for, in seconds since the epoch, and how long it took to start;
            0 where this Run did not wait for it, or the trace does not tell.
    """

    sandbox: int
    spans: tuple[Span, ...]
    worker: int = 0
    host: str = ""
    began_at: float = 0.0
    start_s: float = 0.0


class Timeline(Struct, frozen=True):
    """A Run in time.

    Attributes:
        began_at: when the start record was decided, in seconds since the epoch.
        over_at: when the last record was decided, or anything was last seen running, in seconds since the epoch.
        gated: when Steps stood still for the disk; only the trace tells.
        marks: when engines came and went, in order.
        transfers: what came from host to host, by the time it was asked for.
    """

    id: RunId
    function: str
    status: Status
    began_at: float
    over_at: float
    lanes: tuple[TimelineLane, ...]
    gated: tuple[Interval, ...]
    time_breakdown: TimeBreakdown
    marks: tuple[Mark, ...] = ()
    transfers: tuple[Transfer, ...] = ()


def timeline(
    rows: Sequence[Row],
    trace: Sequence[Traced] = (),
    running: Sequence[RunningView] = (),
    *,
    spans_max: int = 20_000,
    fold: StepsFold | None = None,
) -> Timeline:
    """Return a Run in time. Over `spans_max` spans, short neighbours of one Function become one span.

    `running` is what was seen running of a Run that goes on; `fold` has seen all these rows and the trace, if given.
    """
    began = start_of(rows)
    if fold is None:
        fold = StepsFold.of(rows, trace)
    left_out = (_left_out_span(left) for left in unrecorded(rows, trace))
    now = (_running_span(view, fold.calls) for view in running)
    spans = sorted([*spans_of(rows, fold.calls), *left_out, *now], key=lambda span: (span.sandbox, span.entered_at))
    over_at = max(rows[-1].at, max((span.left_at for span in spans), default=0.0))
    last = rows[-1].records[-1]
    gated = tuple(merge(waits_for_disk(fold, trace)))
    lanes = _lanes(spans, (over_at - rows[0].at) / 4_000 if len(spans) > spans_max else None, _About(trace))
    return Timeline(
        began.id,
        began.function.name,
        last.status if isinstance(last, Ended) else "running",
        rows[0].at,
        over_at,
        lanes,
        gated,
        time_breakdown(rows, fold, trace, running),
        tuple(marks(rows, trace)),
        tuple(transfers(trace)),
    )


def marks(rows: Sequence[Row], trace: Sequence[Traced]) -> Iterator[Mark]:
    """Yield when engines came and went; which one they were is known as far as the trace tells."""
    first = next((str(row.facts["engine"]) for row in trace if row.facts.get("engine")), "")
    yield Mark(rows[0].at, "engine", f"{first or 'an engine'} began the Run")
    for over in handovers(rows, trace):
        engine = over.engine or "another engine"
        if over.waited:
            yield Mark(over.at, "woken", f"{engine} has it again (epoch {over.epoch}): it had been suspended to wait")
            continue
        if over.put_back:
            yield Mark(over.at, "engine", f"{engine} has it again (epoch {over.epoch}): the one before was closed")
            continue
        yield Mark(over.before_at, "crash", "the last that is known of the engine before")
        yield Mark(over.at, "takeover", f"{engine} took the Run over (epoch {over.epoch})")


def _running_span(view: RunningView, calls: Calls) -> Span:
    label = label_of(view.step.partition(".")[0] if view.step not in calls.by_step else view.step)
    return Span(
        view.sandbox,
        view.entered_at,
        view.seen_at,
        label,
        view.step,
        view.attempt,
        is_body=view.step in calls.bodies,
        text=last_line(view.printed) or ("running" if view.lives else "was running when it was last seen"),
        is_running=True,
    )


def spans_of(rows: Sequence[Row], calls: Calls) -> Iterator[Span]:
    """Yield what ran, in the order of the records."""
    for row in rows:
        for record in row.records:
            match record:
                case Settled():
                    for done in record.outcomes:
                        outcome = done.outcome
                        if done.ran.entered_at:
                            failure = outcome if isinstance(outcome, Failure) else None
                            yield _span(calls, done.step, done.ran, done.attempt, failure)
                case ItemsSettled() if record.ran.entered_at:
                    yield _batch_span(record)
                case AttemptFailed() if record.ran.entered_at:
                    step = record.step if record.item < 0 else item_step(record.step, record.item)
                    yield _span(calls, step, record.ran, record.attempt, record.failure)
                case RollbackFailed() if record.ran.entered_at:
                    yield _span(calls, record.step, record.ran, record.attempt, record.failure)
                case Ended() if record.ran.entered_at and calls.root is not None:
                    yield _span(calls, calls.root, record.ran, record.attempt, record.failure)
                case _:
                    pass


def _span(calls: Calls, step: StepId, ran: Ran, attempt: int, failure: Failure | None) -> Span:
    return Span(
        ran.sandbox,
        ran.entered_at,
        ran.left_at,
        label_of(step),
        step,
        attempt,
        failed=int(failure is not None),
        is_body=step in calls.bodies,
        text=error_line(failure) or ran.preview,
    )


def _batch_span(record: ItemsSettled) -> Span:
    settled = [*((lo, hi) for lo, hi, _ in record.values), *((item.index, item.index + 1) for item in record.failures)]
    ran = record.ran
    return Span(
        ran.sandbox,
        ran.entered_at,
        ran.left_at,
        label_of(record.step),
        item_step(record.step, min(settled)[0]) if settled else record.step,
        max((item.failure.attempt for item in record.failures), default=1),
        count=sum(hi - lo for lo, hi in settled),
        failed=len(record.failures),
        text=error_line(record.failures[0].failure) if record.failures else ran.preview,
    )


def _left_out_span(left: Unrecorded) -> Span:
    step = left.step
    ran = left.ran
    text = f"{ran.preview} (not recorded: {left.why})" if ran.preview else f"not recorded: {left.why}"
    return Span(
        ran.sandbox, ran.entered_at, ran.left_at, label_of(step), step, left.attempt, max(1, left.items), text=text
    )


def _lanes(spans: Sequence[Span], merge_s: float | None, trace: _About) -> tuple[TimelineLane, ...]:
    by_sandbox: dict[int, list[Span]] = {}
    for span in spans:
        lane = by_sandbox.setdefault(span.sandbox, [])
        if merge_s is not None and lane and (merged := _merged(lane[-1], span, merge_s)) is not None:
            lane[-1] = merged
        else:
            lane.append(span)
    return tuple(_lane(sandbox, lane, trace) for sandbox, lane in sorted(by_sandbox.items()))


def _lane(sandbox: int, spans: Sequence[Span], about: _About) -> TimelineLane:
    worker = sandbox // SANDBOXES_EACH
    ready_at, start_s = about.starts.get(sandbox, (0.0, 0.0))
    moved = tuple(about.with_moved(span) for span in spans) if about.moved else tuple(spans)
    return TimelineLane(sandbox, moved, worker, about.hosts.get(worker, ""), ready_at - start_s, start_s)


class _About:
    """What the trace tells of Sandboxes: on which host each Worker was, when they began, what Attempts moved."""

    def __init__(self, trace: Sequence[Traced]) -> None:
        self.hosts: dict[int, str] = {}
        self.starts: dict[int, tuple[float, float]] = {}
        self.moved: dict[tuple[StepId, int], tuple[float, float]] = {}
        for row in trace:
            if row.kind == "batch" and (host := row.facts.get("host")):
                self.hosts[int(number(row, "sandbox")) // SANDBOXES_EACH] = str(host)
            elif engine := str(row.facts.get("engine", "")):
                self.hosts[0] = engine.rpartition(" on ")[2]
            if row.kind == "sandbox" and "start_s" in row.facts:
                self.starts[int(number(row, "sandbox"))] = row.at, number(row, "start_s")
            if row.kind == "moved":
                self.moved[row.step, row.attempt] = number(row, "read_s"), number(row, "written_s")

    def with_moved(self, span: Span) -> Span:
        """Return a span with how long moving Objects kept it."""
        moved = self.moved.get((span.step, span.attempt))
        return span if moved is None or span.count > 1 else replace(span, read_s=moved[0], written_s=moved[1])


def _merged(before: Span, span: Span, merge_s: float) -> Span | None:
    """Return both as one span if nobody could see the gap between them, or that there are two."""
    left_at = max(before.left_at, span.left_at)
    apart = span.entered_at - before.left_at > merge_s or left_at - before.entered_at > 2 * merge_s
    if apart or span.is_running or before.label != span.label or before.is_body != span.is_body:
        return None
    return Span(
        before.sandbox,
        before.entered_at,
        left_at,
        before.label,
        before.step,
        max(before.attempt, span.attempt),
        before.count + span.count,
        before.failed + span.failed,
        before.is_body,
        before.text,
    )
