"""A Run that several Workers share (M1 to M3): what its parts hold, what they tell each other, what reaches them.

A *part* is what one Worker decides of one Run. What is not durable is known by a `Name`; what rests on what is told by
names, so that whoever holds a record can hand on, or write, all that it rests on (its *tail*).
"""

from __future__ import annotations

import enum

from msgspec import Struct

from weftrun.model.commands import End, WakeAt
from weftrun.model.events import TimeCame
from weftrun.model.graph import Call
from weftrun.model.ids import StepId, WorkerId
from weftrun.model.outcomes import Failure, Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import AttemptFailed, Ended, Observed, Planned, Row, Settled, Shown, StepOutcome
from weftrun.model.values import Data, Payload, Tree

Name = tuple[StepId, int]
"""Names a record: (Step, 0) its outcome, (body, n) the n-th outcome that it was shown, (Step, -n) its n-th failed
Attempt."""


class Node(Struct, frozen=True, gc=False, array_like=True):
    """A Step as the parts know it.

    Attributes:
        body: the Step whose body called it; empty for the root.
        number: of the call in that body.
        args: its Refs name calls by number; `takes` has their Steps.
        after: Steps that must have settled first, though no value of theirs is read.
        call: what the record of the outcome tells of the call; None but for calls of async bodies.
        rests: records that the call itself rests on: what the body had been shown, and what its entry rested on.
    """

    id: StepId
    body: StepId
    number: int
    function: FunctionSpec
    args: Payload
    takes: tuple[StepId, ...] = ()
    after: tuple[StepId, ...] = ()
    call: Observed | None = None
    rests: tuple[Name, ...] = ()


class Held(Struct, frozen=True, gc=False, array_like=True):
    """A record that a part has made or was told, durable or not.

    Attributes:
        record: as the Journal keeps it; a `Settled` has one outcome.
        epoch, worker: under which, and by whom, it was made; with the Attempt in the record that is its stamp.
        rests: records that must be durable before it, or in the same transaction (C1); only those it names directly.
        sure: it would come out the same. What rests on it then rests on `rests` instead.
        sync: nobody reads it before it is durable (G-b).
    """

    name: Name
    epoch: int
    worker: WorkerId
    record: Settled | Shown | AttemptFailed | Ended
    rests: tuple[Name, ...]
    sure: bool = False
    sync: bool = False

    @property
    def stamp(self) -> tuple[int, WorkerId, int]:
        """Epoch, Worker and Attempt: two records of one name with the same stamp are the same."""
        record = self.record
        return self.epoch, self.worker, record.outcomes[0].attempt if isinstance(record, Settled) else record.attempt

    @property
    def outcome(self) -> StepOutcome | None:
        """The outcome of a Step, if it is that."""
        return self.record.outcomes[0] if isinstance(self.record, Settled) else None


# ---------------------------------------------------------------------- messages


class Offer(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """Outcomes that readers or a join wait for, with their tails, and calls whose home the receiver is (M1).

    Attributes:
        fixed: which of `held` are durable. What they rest on is too, and so is all that a record in here rests on and
            that is not in here.
    """

    epoch: int
    sender: WorkerId
    held: tuple[Held, ...]
    fixed: tuple[Name, ...] = ()
    nodes: tuple[Node, ...] = ()


class Took(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """These records and calls have come; `answer` where they came in an `Answered`.

    An outcome that its sender may not read yet (G-b) has not come: else this, if it is late, would keep the receiver
    from telling that the outcome is durable now.
    """

    epoch: int
    sender: WorkerId
    names: tuple[Name, ...]
    nodes: tuple[StepId, ...] = ()
    answer: bool = False


class Answered(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """The sender goes by this plan, and holds this and nothing else that was not durable when it was made (M3).

    Attributes:
        fixed: which of `held` have become durable since: the receiver may have read the rows before.
    """

    epoch: int
    sender: WorkerId
    held: tuple[Held, ...]
    fixed: tuple[Name, ...] = ()


class PlanTold(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """There is a plan of this epoch: load the rows."""

    epoch: int


class Adopted(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """The sender goes by the plan of this epoch; to the owner."""

    epoch: int
    sender: WorkerId


class Over(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """The Run has ended."""

    epoch: int


ShareMessage = Offer | Took | Answered | PlanTold | Adopted | Over


# ---------------------------------------------------------------------- events


class Heard(Struct, frozen=True):
    """A message came, perhaps late, perhaps for the second time."""

    now: float
    message: ShareMessage


class Loaded(Struct, frozen=True):
    """All rows of the Run, read after `LoadRows`."""

    now: float
    rows: tuple[Row, ...]


class StepEnded(Struct, frozen=True):
    """An Attempt ended, with a value or a failure."""

    now: float
    step: StepId
    attempt: int
    value: Data | None
    failure: Failure | None
    ran: Ran


class CallsMade(Struct, frozen=True):
    """An async body made calls and waits for one of `awaits`."""

    now: float
    step: StepId
    attempt: int
    functions: tuple[FunctionSpec, ...]
    calls: tuple[Call, ...]
    awaits: tuple[int, ...]


class Outcome(enum.IntEnum):
    """What became of an append of a part."""

    COMMITTED = 0
    STALE = 1
    """The epoch was raised, or the Run has ended: nothing was committed."""
    REFUSED = 2
    """Another version of one of the records is durable: nothing was committed (O2)."""
    UNKNOWN = 3
    """Perhaps it was committed."""


class AppendCame(Struct, frozen=True):
    """An append is over."""

    now: float
    number: int
    outcome: Outcome


class Stored(Struct, frozen=True):
    """The bytes of a blob are durable (C2)."""

    now: float
    sha256: str


PartEvent = Heard | Loaded | StepEnded | CallsMade | AppendCame | Stored | TimeCame


# ---------------------------------------------------------------------- commands


class AppendRecords(Struct, frozen=True):
    """Append these records in one transaction, each as a row of its own, if the Run still has this epoch (O2).

    A record whose name is there with the same stamp is passed over. Answered by `AppendCame` with the same number.
    """

    number: int
    epoch: int
    held: tuple[Held, ...]


class LoadRows(Struct, frozen=True):
    """Read all rows of the Run; answered by `Loaded`."""


class StoreBlob(Struct, frozen=True):
    """Make the bytes of this blob durable; answered by `Stored`."""

    sha256: str


class Say(Struct, frozen=True):
    """Send a message to the part of another Worker."""

    to: WorkerId
    message: ShareMessage


class TellOwner(Struct, frozen=True):
    """Send a message to the Run's owner, wherever that is."""

    message: Adopted


class Enter(Struct, frozen=True):
    """Enter an Attempt of a Step here; answered by `StepEnded`, and by `CallsMade` where it is an async body."""

    step: StepId
    attempt: int
    function: FunctionSpec
    args: Tree


class Show(Struct, frozen=True):
    """Hand an awaited outcome to an async body."""

    step: StepId
    attempt: int
    call: int
    value: Tree | None
    failure: Failure | None


class Abandon(Struct, frozen=True):
    """End these Attempts: nobody wants what they give."""

    attempts: tuple[tuple[StepId, int], ...]


PartCommand = AppendRecords | LoadRows | StoreBlob | Say | TellOwner | Enter | Show | Abandon | WakeAt | End


# ---------------------------------------------------------------------- the owner


class OwnerBegan(Struct, frozen=True):
    """This engine owns the Run now: these are its epoch, its rows, and the Workers that are alive."""

    now: float
    epoch: int
    rows: tuple[Row, ...]
    alive: tuple[WorkerId, ...]


class WorkerCame(Struct, frozen=True):
    """A Worker is there that was not."""

    now: float
    worker: WorkerId


class WorkerGone(Struct, frozen=True):
    """A Worker's session is buried (O1): it can neither renew its Lease nor append."""

    now: float
    worker: WorkerId


class EpochRaised(Struct, frozen=True):
    """What became of `RaiseEpoch`. `STALE`: another engine owns the Run, or it has ended."""

    now: float
    outcome: Outcome


OwnerEvent = OwnerBegan | WorkerCame | WorkerGone | EpochRaised | Heard | TimeCame


class RaiseEpoch(Struct, frozen=True):
    """Raise the Run's epoch by one, to `epoch`, and append the plan under it, in one transaction."""

    epoch: int
    planned: Planned


OwnerCommand = RaiseEpoch | Say | WakeAt
