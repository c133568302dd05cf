"""Spans of Runs and of their Attempts, made where these end. Only an engine that traces has one of these."""

from __future__ import annotations

from collections.abc import Iterator

from weftrun.model.commands import End
from weftrun.model.events import AttemptsEnded, BodyReturned, ItemsEnded
from weftrun.model.ids import item_step
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.spans import SpanEnded, span_of_attempt, span_of_run, trace_of
from weftrun.model.spans import parent_of as parent_in
from weftrun.model.work import WorkEvent
from weftrun.ports.loop import Loop
from weftrun.ports.spans import Spans
from weftrun.runtime.runs import OpenRun


class Spanning:
    """Makes spans of what ends and hands them on."""

    def __init__(self, loop: Loop, spans: Spans) -> None:
        self._loop = loop
        self._spans = spans

    def trace_of(self, run: OpenRun) -> str:
        """Return the trace of a Run, as its Sandboxes are told it."""
        return trace_of(run.uid, run.traceparent)

    def told(self, run: OpenRun, event: WorkEvent) -> None:
        """Something of a Run may have ended: Attempts, or a body."""
        self._spans.ended(list(self._of_attempts(run, event)))

    def _of_attempts(self, run: OpenRun, event: WorkEvent) -> Iterator[SpanEnded]:
        match event:
            case AttemptsEnded():
                for outcome in event.ended:
                    if not outcome.undoes:
                        yield self._attempt(run, outcome.step, outcome.attempt, outcome.ran, outcome.failure)
            case ItemsEnded():
                # One for the items that a Sandbox has told of together, of which there may be millions.
                count = sum(hi - lo for lo, hi, _ in event.values) + len(event.failures)
                first = min([lo for lo, _, _ in event.values] + [index for index, _ in event.failures], default=0)
                failure = event.failures[0][1] if event.failures else None
                span = self._attempt(run, event.step, event.attempt, event.ran, failure, first=first)
                span.facts["weftrun.items"] = count
                yield span
            case BodyReturned():
                yield self._attempt(run, event.step, event.attempt, event.ran, event.failure)
            case _:
                pass

    def _attempt(
        self, run: OpenRun, step: int, attempt: int, ran: Ran, failure: Failure | None, *, first: int | None = None
    ) -> SpanEnded:
        state = run.machine.state.steps[step]
        named = state.id if first is None else item_step(state.id, first)
        return SpanEnded(
            self.trace_of(run),
            span_of_attempt(run.uid, named, attempt),
            span_of_run(run.uid),
            state.function.label,
            ran.entered_at or self._loop.now(),
            ran.left_at or self._loop.now(),
            _told(failure),
            {
                "weftrun.run": run.id, "weftrun.step": state.id, "weftrun.attempt": attempt,
                "weftrun.function": state.function.name, "weftrun.sandbox": ran.sandbox,
            },
        )  # fmt: skip

    def run_ended(self, run: OpenRun, end: End) -> None:
        """A Run has ended."""
        parent = parent_in(run.traceparent)
        began_at = run.machine.state.root.at
        span = SpanEnded(
            self.trace_of(run), span_of_run(run.uid), parent[1] if parent is not None else "",
            run.machine.state.root.function.label, began_at, self._loop.now(), _told(end.failure),
            {"weftrun.run": run.id, "weftrun.status": end.status, "weftrun.function": run.function},
        )  # fmt: skip
        self._spans.ended([span])


def _told(failure: Failure | None) -> str:
    return f"{failure.type}: {failure.message}" if failure is not None else ""
