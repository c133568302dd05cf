"""What the Journal keeps of a Run: facts in the past tense, in the order in which they happened.

A `Row` is what is appended: one or more logical records of one Run under one seq. Records name values as `Blob` or
`Inline`; an `Object` in one is replaced when its bytes are durable (C2). The budget of records is SEMANTICS' table.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from weftrun.model.emits import Emit, emitter
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outcomes import NOT_RUN, Failure, Ran, Status, Success
from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.queues import QueueEntry
from weftrun.model.values import Payload, RefTo


class Started(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """The Run exists (N2). Always the first record.

    Attributes:
        digest: of the arguments where a canonical encoding exists, else empty.
        hash_seed: the Journal's PYTHONHASHSEED, so that set order repeats in a replay (B4).
    """

    id: RunId
    function: FunctionSpec
    bundle: Bundle
    args: Payload
    digest: str = ""
    hash_seed: int = 0


class Graphed(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A body ended, with these calls open and this answer; it is never entered again (B1, B3).

    For a `def` body `calls` are all its calls. For an async body they are those that had not settled, by `numbers`.

    Attributes:
        step: the body's Step.
        attempt: which Attempt of the body made the graph; chunks of other Attempts are void.
        answer: encoded answer, its Refs by call number.
        observed: highest ordinal delivered to the body before it ended; 0 for a `def` body.
        seen: for each of an async body's `calls`, the highest ordinal delivered to the body before it made the call.
    """

    step: StepId
    attempt: int
    functions: tuple[FunctionSpec, ...]
    calls: tuple[Call, ...]
    numbers: tuple[int, ...]
    answer: Payload
    observed: int = 0
    seen: tuple[int, ...] = ()


class Chunked(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """A chunk of a map's input is kept. The last one fixes the map's items; one at item 0 begins them afresh.

    An Attempt of a body that was lost with its engine begins again under the same number, and its map with it.

    Attributes:
        body: the Step whose body made the map.
        step: the map's Step.
        attempt: Attempt of that body.
        ordinal: place in the order of settling that an empty map takes; 0 but in a last chunk.
    """

    body: StepId
    step: StepId
    attempt: int
    chunk: Chunk
    ordinal: int = 0


class Observed(Struct, frozen=True, gc=False, array_like=True):
    """The call of an async body, carried by the record of its outcome (B2), so that a replay can be compared.

    Attributes:
        body: the Step whose body made the call.
        number: number of the call in that body.
        function: name of the Function.
        kind: how its body is run.
        version: digest of its code.
        refs: Refs in the arguments.
        digest: of the arguments, or empty.
        observed: highest ordinal delivered to the body before it made the call.
    """

    body: StepId
    number: int
    function: str
    kind: Kind
    version: str
    refs: tuple[RefTo, ...]
    digest: str
    observed: int


class StepOutcome(Struct, frozen=True, gc=False, array_like=True):
    """The outcome of one Step.

    Attributes:
        ordinal: place in the order in which the Run's Steps settled, from 1.
        cause: why it settled, where it was not by running: `argument`, `limit`, `cancelled`, `kept` (it is the success
            of an earlier life, L1), `timer` (its time came), `signal` (somebody sent it), `put` (it is an output of
            the Step before it, S1), `patch` (its body takes new code); else empty.
        emits: what the Attempt that succeeded has emitted (E1).
    """

    step: StepId
    attempt: int
    ordinal: int
    outcome: Success | Failure
    ran: Ran
    call: Observed | None = None
    cause: str = ""
    emits: tuple[Emit, ...] = ()


class Settled(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Steps settled: these are their values, for every reader, for ever."""

    outcomes: tuple[StepOutcome, ...]


class ItemFailure(Struct, frozen=True, gc=False, array_like=True):
    """Item `index` of a map failed for good."""

    index: int
    failure: Failure


class ItemsSettled(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Items `[lo, hi)` of a map settled in one Batch: `values` for all that are not in `failures`.

    Attributes:
        values: encoded lists with the results of contiguous ranges, ascending, as `(lo, hi, payload)`.
        ordinal: place in the order of settling that the map takes if this was its last open item.
        emits: what the items of `values` have emitted (E1).
    """

    step: StepId
    ordinal: int
    values: tuple[tuple[int, int, Payload], ...]
    failures: tuple[ItemFailure, ...]
    ran: Ran
    call: Observed | None = None
    emits: tuple[Emit, ...] = ()


class AttemptFailed(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """An Attempt failed and another will follow at `due_at` (seconds since the epoch).

    Attributes:
        item: index of the map's item, or -1.
    """

    step: StepId
    item: int
    attempt: int
    failure: Failure
    due_at: float
    ran: Ran


class CancelAsked(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """Somebody asked for the Run to be cancelled; folded from the inbox with the sender's message id."""

    message: str


class Ended(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The Run is over. Always the last record of a life; it may leave Steps unrecorded (C1).

    It is also the outcome record of the root Step, so that a Run of one Step ends with one record.

    Attributes:
        answer: the value of the root Step, where the Run succeeded.
        failure: why it did not.
        attempt: last Attempt of the root Step.
        ran: of the root Step's last Attempt, where it is a Function.
        emits: what it has emitted, where it is a Function that succeeded (E1); `step` is its id then, else empty.
    """

    status: Status
    answer: Payload | None
    failure: Failure | None
    attempt: int = 1
    ran: Ran = NOT_RUN
    emits: tuple[Emit, ...] = ()
    step: StepId = StepId("")


class AttemptStarted(Struct, frozen=True, gc=False, array_like=True, tag=16):
    """An Attempt of a Function with a rollback may be entered once this is durable (R1); its key is the Step's.

    As long as the Step has not settled, whoever would enter it again runs the rollback first.

    Attributes:
        args: encoded arguments, where no earlier record holds them: of a call that an async body made.
        call: that call, as the record of its outcome will tell it.
    """

    step: StepId
    attempt: int
    args: Payload | None = None
    call: Observed | None = None


class RollbackFailed(Struct, frozen=True, gc=False, array_like=True, tag=17):
    """The rollback of Attempt `attempt` failed in its try `tried`; the next follows at `due_at` (s since the epoch)."""

    step: StepId
    attempt: int
    tried: int
    failure: Failure
    due_at: float
    ran: Ran


# Tags 18 to 20 stay reserved: records of several Workers, which no engine ever wrote, once had them (decision 42).


class Retried(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """Life `life` of the Run begins (L1): what failed, and the Run's end, is taken back; every success stands.

    Appended by whoever asked for it, to a Run that had failed, was cancelled, or waits for code.
    """

    life: int


class Unfit(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """The code of now does not fit the Run, which is parked until other code is there (L2). Nothing of it has ended.

    Attributes:
        code: digest of the code that was tried; empty where it is not known.
        failure: what does not fit, in a sentence, with the Step whose code it is as its origin.
        recorded: the call on record, where a body made another one.
        made: the call that the body makes now.
    """

    code: str
    failure: Failure
    recorded: str = ""
    made: str = ""


class Abandoned(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """These calls of async bodies were under way when their body was given up; what became of them is not known (L1).

    In a later life a call takes one of these names only if its body has not gone another way before it.
    """

    steps: tuple[StepId, ...]


class Branched(Struct, frozen=True, gc=False, array_like=True, tag=24):
    """From call `number` on, the async body of Step `body` goes another way in life `life` than on record (L1)."""

    body: StepId
    number: int
    life: int


class Received(Struct, frozen=True, gc=False, array_like=True, tag=25):
    """A signal from the inbox is the outcome of this Step, which stands in the same row; it is never delivered again.

    Attributes:
        message: id that its sender gave it.
    """

    step: StepId
    message: str


class Enqueued(Struct, frozen=True, gc=False, array_like=True, tag=27):
    """The Run was put into a queue. In the first row, behind the start."""

    entry: QueueEntry


class ForkedFrom(Struct, frozen=True, gc=False, array_like=True, tag=26):
    """The Run is a fork: what another Run had settled before one of its Steps is its own. Stands behind `Started`.

    Attributes:
        run, uid: the Run it was forked from.
        step: the Step of that Run from which on everything is run anew.
        seed: uid of the Run whose numbers bodies draw by `weftrun.random()`: that of the first Run in a line of forks.
        began_at: when that first Run began, which its root body was told, in seconds since the epoch.
        rows: how many of the next rows hold what was copied, each with the time at which it was settled.
        functions: names of the Functions of copied Steps whose records don't tell them: calls of `def` bodies.
    """

    run: RunId
    uid: RunUid
    step: StepId
    seed: RunUid
    began_at: float
    rows: int
    functions: tuple[tuple[StepId, str], ...] = ()


class CanUndo(Struct, frozen=True, gc=False, array_like=True, tag=28):
    """Something that the body of Step `step` has done can be undone: a cancel lets it do so. Once for each body."""

    step: StepId


class Undoing(Struct, frozen=True, gc=False, array_like=True, tag=29):
    """The async body of Step `step` is to undo what it has done: it is told so in the place of its next outcome.

    Attributes:
        observed: the highest ordinal that was delivered to it before.
        made: how many calls it had made; what it calls from there on undoes the others.
        failure: why, where it is not a cancel: its time was up.
    """

    step: StepId
    observed: int
    made: int
    failure: Failure | None = None


class Undone(Struct, frozen=True, gc=False, array_like=True, tag=30):
    """The body of Step `step` has undone what it could, and is never entered again in this life."""

    step: StepId


Record = (
    Started
    | Graphed
    | Chunked
    | Settled
    | ItemsSettled
    | AttemptFailed
    | CancelAsked
    | Ended
    | AttemptStarted
    | RollbackFailed
    | Retried
    | Unfit
    | Abandoned
    | Branched
    | Received
    | ForkedFrom
    | CanUndo
    | Undoing
    | Undone
    | Enqueued
)


class Row(Struct, frozen=True, gc=False, array_like=True):
    """Records of one Run that commit together under one seq.

    Attributes:
        seq: place in the Run's order, from 1, without a gap.
        at: seconds since the epoch when the machine decided it.
        epoch: of the Lease under which it was appended.
        records: one or more, in order.
    """

    uid: RunUid
    seq: int
    at: float
    epoch: int
    records: tuple[Record, ...]


def emits_in(records: Sequence[Record]) -> list[tuple[StepId, Emit]]:
    """Return what was emitted, with the Step or the item that did, in the order of the records."""
    found: list[tuple[StepId, Emit]] = []
    for record in records:
        if type(record) is Settled:
            for outcome in record.outcomes:
                if outcome.emits:
                    found += [(outcome.step, emit) for emit in outcome.emits]
        elif type(record) is ItemsSettled:
            if record.emits:
                found += [(emitter(record.step, emit), emit) for emit in record.emits]
        elif type(record) is Ended and record.emits:
            found += [(record.step, emit) for emit in record.emits]
    return found


def queue_of(records: Sequence[Record]) -> str:
    """Return the queue that the first row of a Run names; empty where it was put into none."""
    return next((record.entry.queue for record in records if type(record) is Enqueued), "")
