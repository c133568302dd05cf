"""Runs written by hand, row by row, as a Journal would give them back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Ran, Reason, Status, Success
from weftrun.model.policy import Bundle, FunctionSpec, Kind, RetryPolicy
from weftrun.model.records import (
    AttemptFailed,
    Chunked,
    Ended,
    Graphed,
    ItemFailure,
    ItemsSettled,
    Observed,
    Record,
    Row,
    Settled,
    Started,
    StepOutcome,
)
from weftrun.model.values import Inline, Payload, RefTo
from weftrun.ports.trace import TraceRow

T0 = 1_000.0


def payload(*calls: int) -> Payload:
    return Payload(Inline(b"\x00"), tuple(RefTo(call) for call in calls))


def spec(label: str, kind: Kind = Kind.FUNCTION, **policy: Any) -> FunctionSpec:
    return FunctionSpec(f"app:{label}", label, kind, version="abcdef0123456789", **policy)


class Book:
    """Rows of one Run. Times are seconds after the start."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.trace: list[TraceRow] = []
        self.epoch = 1
        self.ordinal = 0

    def add(self, at: float, *records: Record) -> None:
        self.rows.append(Row(RunUid("u" * 32), len(self.rows) + 1, T0 + at, self.epoch, records))

    def start(self, label: str = "flow", kind: Kind = Kind.WIRING, id: str = "books-1") -> None:
        self.add(0.0, Started(RunId(id), spec(label, kind), Bundle("app"), payload()))

    def graph(self, at: float, step: str, calls: Sequence[tuple[FunctionSpec, Call]], answer: Payload) -> None:
        functions = tuple(dict.fromkeys(function for function, _ in calls))
        made = tuple(Call(functions.index(f), c.n, c.args, c.after, c.is_map, c.digest) for f, c in calls)
        self.add(at, Graphed(StepId(step), 1, functions, made, tuple(range(len(made))), answer))

    def chunk(
        self, at: float, body: str, step: str, call: int, lo: int, count: int, *, last: bool, refs: tuple[int, ...] = ()
    ) -> None:
        self.add(at, Chunked(StepId(body), StepId(step), 1, Chunk(call, lo, count, payload(*refs), last)))

    def outcome(
        self,
        step: str,
        ran: Ran = NOT_RUN,
        *,
        failure: Failure | None = None,
        attempt: int = 1,
        call: Observed | None = None,
        cause: str = "",
    ) -> StepOutcome:
        self.ordinal += 1
        return StepOutcome(StepId(step), attempt, self.ordinal, failure or Success(payload()), ran, call, cause)

    def settle(self, at: float, *outcomes: StepOutcome) -> None:
        self.add(at, Settled(outcomes))

    def items(
        self,
        at: float,
        step: str,
        lo: int,
        hi: int,
        ran: Ran,
        failures: dict[int, Failure] | None = None,
        call: Observed | None = None,
    ) -> None:
        self.ordinal += 1
        failed = failures or {}
        values, begin = [], lo
        for index in [*sorted(failed), hi]:
            if index > begin:
                values.append((begin, index, payload()))
            begin = index + 1
        told = tuple(ItemFailure(index, failed[index]) for index in sorted(failed))
        self.add(at, ItemsSettled(StepId(step), self.ordinal, tuple(values), told, ran, call))

    def fail_attempt(
        self, at: float, step: str, attempt: int, failure: Failure, due: float, ran: Ran, item: int = -1
    ) -> None:
        self.add(at, AttemptFailed(StepId(step), item, attempt, failure, T0 + due, ran))

    def end(self, at: float, status: Status = "succeeded", failure: Failure | None = None, ran: Ran = NOT_RUN) -> None:
        self.add(at, Ended(status, payload() if status == "succeeded" else None, failure, 1, ran))

    def batch(self, at: float, step: str, text: str = "", *, attempt: int = 1, **facts: str | int | float) -> None:
        self.trace.append(TraceRow(RunUid("u" * 32), "batch", T0 + at, StepId(step), attempt, text, facts))

    def printed(self, at: float, step: str, text: str, **facts: str | int) -> None:
        self.trace.append(TraceRow(RunUid("u" * 32), "text", T0 + at, StepId(step), 1, text, {**facts}))

    def note(self, at: float, text: str, step: str = "", **facts: str | int | float) -> None:
        self.trace.append(TraceRow(RunUid("u" * 32), "note", T0 + at, StepId(step), 0, text, facts))


def ran(sandbox: int, entered: float, left: float, preview: str = "") -> Ran:
    return Ran(sandbox, T0 + entered, T0 + left, preview)


def raised(
    origin: str, text: str = "no such file", *, attempt: int = 1, attempts: int = 1, reason: Reason = Reason.RAISED
) -> Failure:
    return Failure(reason, "ValueError", text, "", StepId(origin), attempt, attempts)


def observed(body: str, number: int, label: str, seen: int = 0) -> Observed:
    return Observed(StepId(body), number, f"app:{label}", Kind.FUNCTION, "v1", (), "", seen)


@pytest.fixture
def book() -> Book:
    return Book()


@pytest.fixture
def wordcount(book: Book) -> Book:
    """`merge(count.map(paths), top=load())`: 10 items in two Batches, item 7 retried, everything succeeded."""
    book.start("wordcount")
    book.chunk(0.001, "wordcount", "count[0]", 0, 0, 6, last=False)
    book.chunk(0.002, "wordcount", "count[0]", 0, 6, 4, last=True)
    calls = [
        (spec("count", retry=RetryPolicy(2)), Call(0, 0, payload(), is_map=True)),
        (spec("load"), Call(1, 0, payload())),
        (spec("merge"), Call(2, 0, payload(0, 1))),
    ]
    book.graph(0.01, "wordcount", calls, payload(2))
    book.settle(0.03, book.outcome("load[0]", ran(2, 0.012, 0.03, "10")))
    book.items(0.05, "count[0]", 0, 6, ran(1, 0.012, 0.05, "[1, 2]"))
    book.fail_attempt(
        0.06, "count[0]", 1, raised("count[0].7", attempt=1, attempts=3), 0.1, ran(2, 0.055, 0.06), item=7
    )
    book.items(0.07, "count[0]", 6, 7, ran(1, 0.06, 0.065))
    book.items(0.08, "count[0]", 8, 10, ran(1, 0.066, 0.08))
    book.items(0.2, "count[0]", 7, 8, ran(2, 0.1, 0.2))
    book.settle(0.26, book.outcome("merge[0]", ran(1, 0.21, 0.26, '[["a", 3]]')))
    book.end(0.261)
    return book


@pytest.fixture
def countdown(book: Book) -> Book:
    """An async body that awaits one Step after the other, and has not ended."""
    book.start("countdown", Kind.WATCHING)
    for n in range(3):
        call = observed("countdown", n, "decrement", n)
        book.settle(0.1 * n + 0.1, book.outcome(f"decrement[{n}]", ran(1, 0.1 * n + 0.02, 0.1 * n + 0.1), call=call))
    return book


class Words:
    """What tests need to write a Run of their own."""

    T0 = T0
    spec = staticmethod(spec)
    payload = staticmethod(payload)
    ran = staticmethod(ran)
    raised = staticmethod(raised)
    observed = staticmethod(observed)


@pytest.fixture
def words() -> type[Words]:
    return Words
