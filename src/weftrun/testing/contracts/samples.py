"""Rows to append: one of each kind of record, and short Runs."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outcomes import Failure, Ran, Reason, Status, Success
from weftrun.model.policy import Bundle, FunctionSpec, Kind, RetryPolicy
from weftrun.model.records import (
    Abandoned,
    AttemptFailed,
    Branched,
    CancelAsked,
    Chunked,
    Ended,
    Graphed,
    ItemFailure,
    ItemsSettled,
    Observed,
    Received,
    Record,
    Row,
    Settled,
    Started,
    StepOutcome,
    Unfit,
)
from weftrun.model.values import Blob, Inline, Payload, RefTo
from weftrun.ports.journal import Message

AT = 1_700_000_000.25
RAN = Ran(3, AT, AT + 0.5, '{"a": 1}')
VALUE = Payload(Inline(b"\x00\x80\x05K\x01."))
BLOB = Blob("ab" * 32, 1_000_000)
FAILURE = Failure(Reason.RAISED, "builtins.ValueError", "no", "line 3", StepId("count[0]"), 2, 3, Inline(b"\x00e"))
COUNT = FunctionSpec(
    "app:count", "count", Kind.FUNCTION, "v1", "sync", "none", True, RetryPolicy(2), 1.5, 1 << 20, False
)
WORDCOUNT = FunctionSpec("app:wordcount", "wordcount", Kind.WIRING, "v2")
BUNDLE = Bundle("app", "/srv/app.py", b"", ("/srv",), "/srv", "d1")
ROOT = StepId("wordcount[0]")
CALL = Observed(ROOT, 0, "app:count", Kind.FUNCTION, "v1", (RefTo(1, (0, "k")),), "d2", 4)

ONE_OF_EACH: tuple[Record, ...] = (
    Graphed(
        *(ROOT, 1, (COUNT,), (Call(0, 0, VALUE, (1,), True, "d3"),), (0,), Payload(Inline(b"\x00"), (RefTo(0),))),
        observed=4,
        seen=(2,),
    ),
    Chunked(ROOT, StepId("count[0]"), 1, Chunk(0, 0, 2, Payload(BLOB), True), 5),
    Settled((StepOutcome(StepId("count[0]"), 1, 1, Success(VALUE), RAN, CALL),)),
    Settled((StepOutcome(StepId("count[1]"), 3, 2, FAILURE, RAN, None, "argument"),)),
    ItemsSettled(StepId("count[2]"), 3, ((0, 1, VALUE),), (ItemFailure(1, FAILURE),), RAN, CALL),
    AttemptFailed(StepId("count[2]"), 1, 1, FAILURE, AT + 9, RAN),
    CancelAsked("message-1"),
)
"""Each record that is neither the first nor the last of a Run, with every field set to something."""

ABANDONED = Abandoned((StepId("count[3]"),))
BRANCHED = Branched(ROOT, 2, 2)
KEPT = Settled((StepOutcome(StepId("count[0]"), 1, 4, Success(VALUE), RAN, CALL, "kept"),))
UNFIT = Unfit("c0de", FAILURE, "count[0]", "total[0]")
"""What is on record of Runs that were retried or parked."""

WAITED = Observed(ROOT, 1, "weftrun:signal/verdict", Kind.SIGNAL, "", (), "d4", 4)
SIGNALLED = (
    Received(StepId("signal:verdict[0]"), "message-3"),
    Settled((StepOutcome(StepId("signal:verdict[0]"), 1, 1, Success(VALUE), Ran(), WAITED, "signal"),)),
)
"""What is on record of a Run that took a signal."""


def as_posted(messages: Iterable[Message]) -> list[Message]:
    """Return messages as their senders made them: without the places that the Journal has given them."""
    return [replace(message, place=0) for message in messages]


def uid(number: int) -> RunUid:
    """Return a Run uid."""
    return RunUid(f"{number:032x}")


def start(number: int, *, id: str | None = None, args: Payload = VALUE, epoch: int = 1) -> Row:
    """Return the first row of Run `number`."""
    name = RunId(id or f"run-{number}")
    return Row(uid(number), 1, AT + number, epoch, (Started(name, WORDCOUNT, BUNDLE, args, "d0", 7),))


def more(number: int, seq: int, records: Iterable[Record] = ONE_OF_EACH[2:3], *, epoch: int = 1) -> Row:
    """Return a further row of Run `number`."""
    return Row(uid(number), seq, AT + number + seq, epoch, tuple(records))


def end(number: int, seq: int, status: Status = "succeeded", *, epoch: int = 1) -> Row:
    """Return the last row of Run `number`."""
    ended = Ended(status, VALUE, None, 1, RAN) if status == "succeeded" else Ended(status, None, FAILURE, 2)
    return Row(uid(number), seq, AT + number + seq, epoch, (ended,))
