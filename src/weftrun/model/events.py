"""What reaches the machine of a Run. Every event carries the time at which it happened."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.emits import Emit
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Outcome, Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Observed
from weftrun.model.values import Data, Inline, Payload


class AttemptsEnded(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """Invocations of this Run ended (one message of a Sandbox may tell of many)."""

    now: float
    ended: tuple[Outcome, ...]


class ItemsEnded(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Items of a map ended: ranges `(lo, hi, encoded list)` and single failures of Attempt `attempt`."""

    now: float
    step: int
    attempt: int
    values: tuple[tuple[int, int, Data], ...]
    failures: tuple[tuple[int, Failure], ...]
    ran: Ran
    emits: tuple[Emit, ...] = ()


class BodyMade(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """The body of Step `step` made calls and chunks, and waits for `awaits`; calls that are `undoable` it can undo."""

    now: float
    step: int
    attempt: int
    functions: tuple[FunctionSpec, ...]
    calls: tuple[Call, ...]
    chunks: tuple[Chunk, ...]
    awaits: tuple[int, ...]
    undoable: tuple[int, ...] = ()


class BodyReturned(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """The body of Step `step` ended with an answer or a failure."""

    now: float
    step: int
    attempt: int
    answer: Payload | None
    failure: Failure | None
    ran: Ran


class BodyLost(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """The body of Step `step` is not in its Sandbox any more, which is gone, or held up by another body.

    Attributes:
        failure: None where the body has no part in it, and is to be entered again as the same Attempt.
    """

    now: float
    step: int
    attempt: int
    failure: Failure | None


class OutputPut(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """An Attempt that goes on has put an output (S1): it stands if and only if the Attempt succeeds.

    Attributes:
        step: the machine's index of the Step.
        name: of the output.
        ran: where and when it was put, with a preview of the value.
        is_whole: all that a stream yields, in the place of what stood for it: those who read it go on.
        is_durable: it is to be fixed at once, for all Attempts, and the body waits for what is (S2).
    """

    now: float
    step: int
    attempt: int
    name: str
    value: Data
    ran: Ran
    is_whole: bool = False
    is_durable: bool = False


class Disarmed(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """Steps that were armed may have been started on values that were lost: what is told of that start is nothing."""

    now: float
    steps: tuple[int, ...]


class Committed(Struct, frozen=True, gc=False):
    """All rows of this Run up to `seq` are durable."""

    now: float
    seq: int


class TimeCame(Struct, frozen=True, gc=False):
    """A time that the machine asked for by `WakeAt` has come."""

    now: float


class CancelCame(Struct, frozen=True, gc=False):
    """Somebody asked for the Run to be cancelled, with this message id (folded once).

    Attributes:
        force: end it at once, and undo nothing (any more).
    """

    now: float
    message: str
    force: bool = False


class Signal(Struct, frozen=True, gc=False):
    """What somebody sent to a Run.

    Attributes:
        message: id that its sender gave it.
        name: for which name it is meant.
        at: when it was sent, in seconds since the epoch, by the sender's clock.
        place: in the order in which the Journal took messages; within one Run no later one has a lower place.
        value: its encoded value.
    """

    message: str
    name: str
    at: float
    place: int
    value: Inline


class SignalCame(Struct, frozen=True, gc=False):
    """Somebody sent a signal to the Run; it may be told more than once."""

    now: float
    signal: Signal


class Parked(Struct, frozen=True, gc=False):
    """The Run can't go on for a reason outside it (taken over too often, its code can't be loaded)."""

    now: float
    failure: Failure


class CodeUnfit(Struct, frozen=True, gc=False):
    """A Sandbox can't be made for the code of the Run, or the code there does not fit what is on record (L2)."""

    now: float
    failure: Failure


class Handed(Struct, frozen=True, array_like=True):
    """A call of an async body that was handed to a Worker: until its outcome has a record only the trace tells of it.

    Attributes:
        step: the Step that the call became.
        life: of the Run, from 1 (L1).
        visible: whether anybody outside could see it run, or what it called.
        is_map: whether it has items.
    """

    step: StepId
    call: Observed
    life: int
    visible: bool
    is_map: bool = False


class Resumed(Struct, frozen=True, gc=False):
    """The machine was made from a start record or from loaded records, and may now give commands.

    Attributes:
        code: digest of the code that there is now; empty where it is not known.
        is_other_code: whether it is known to be other code than the Run was begun with.
        handed: calls of async bodies that engines before this one had handed to a Worker, as far as the trace tells.
        signals: what lies in the Run's inbox.
    """

    now: float
    code: str = ""
    is_other_code: bool = False
    handed: tuple[Handed, ...] = ()
    signals: tuple[Signal, ...] = ()


RunEvent = (
    AttemptsEnded
    | ItemsEnded
    | BodyMade
    | BodyReturned
    | BodyLost
    | OutputPut
    | Disarmed
    | Committed
    | TimeCame
    | CancelCame
    | SignalCame
    | CodeUnfit
    | Parked
    | Resumed
)
