"""What a Run's machine wants done. Commands are re-derived after a crash and never stored.

Those of `WorkCommand` travel to Workers in other processes.
"""

from __future__ import annotations

import enum
from typing import Final

from msgspec import Struct

from weftrun.model.graph import NO_PAST, BodyPast
from weftrun.model.ids import ObjectId, StepId, WorkerId
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import Failure, Ran, Status
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Record
from weftrun.model.values import Key, Tree


class Append(Struct, frozen=True, gc=False):
    """Append these records as the Run's row `seq`; answered by `Committed`.

    Where nothing `hurries`, rows may gather for a moment.
    """

    seq: int
    at: float
    records: tuple[Record, ...]
    hurries: bool = False


class Hurry(Struct, frozen=True, gc=False):
    """Something waits now for the rows handed out so far to be durable."""


class Invoke(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """Run these Invocations of one Function; answered by `AttemptsEnded`."""

    function: FunctionSpec
    invocations: tuple[Invocation, ...]


class InvokeItems(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """Run items `ranges` of one chunk of a map; answered by `ItemsEnded`, in any partition."""

    function: FunctionSpec
    run: int
    step: int
    id: StepId
    attempt: int
    same: Tree
    items: Tree
    base: int
    ranges: tuple[tuple[int, int], ...]


class EnterBody(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """Enter (or replay) the body of a Step; answered by `BodyMade`, `BodyReturned` or `BodyLost`."""

    step: int
    id: StepId
    attempt: int
    function: FunctionSpec
    args: Tree
    started_at: float
    past: BodyPast = NO_PAST


class Deliver(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Hand an awaited outcome to a body; with `call` -1, why it is to undo what it has done."""

    step: int
    attempt: int
    call: int
    value: Tree | None
    failure: Failure | None
    at: float


class LeaveBody(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Forget the body of a Step: its answer is no longer wanted."""

    step: int
    attempt: int


class Revoke(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """Drop what is queued and kill what runs of these Steps."""

    steps: tuple[int, ...]


class PutFixed(Struct, frozen=True, gc=False):
    """What an Attempt has put durably is fixed and durable: its body goes on with this encoded value (S2)."""

    step: int
    attempt: int
    value: bytes


class WakeAt(Struct, frozen=True, gc=False):
    """Send `TimeCame` at this time (seconds since the epoch), or a little later. A later command replaces it."""

    at: float


UNTIL_TOLD = 1e14
"""Stands for the time until which a Run waits that waits for a signal alone: after all times."""


class WaitsUntil(Struct, frozen=True, gc=False):
    """The Run does nothing but wait until this time, for longer than a moment, and all it has is durable.

    It may be suspended, and made again from its rows. Told once for each time.

    Attributes:
        at: in seconds since the epoch; `UNTIL_TOLD` where it waits for a signal alone.
        what: it waits for, for people: `signal verdict`, `sleep`; empty where for another Attempt.
        heard: place of the last signal that it was told of, of those that nobody has taken yet; 0 for none.
    """

    at: float
    what: str = ""
    heard: int = 0


class Release(Struct, frozen=True, gc=False):
    """No reader of these Objects is left in the Run."""

    objects: tuple[ObjectId, ...]


class LeftOut(Struct, frozen=True, gc=False):
    """A Step, or `items` of a map, succeeded without a record (C3). For people only: nothing rests on it.

    Attributes:
        nbytes: encoded size of what is not written, in bytes.
        items: how many items of a map; 0 for a Step.
        why: clause for the story.
    """

    step: StepId
    attempt: int
    ran: Ran
    nbytes: int
    items: int
    why: str


class Park(Struct, frozen=True, gc=False):
    """The code of now does not fit, which is durable: the Run is to be suspended until other code is there (L2)."""

    failure: Failure


class End(Struct, frozen=True, gc=False):
    """The Run's last record is durable: answer and status may leave the engine (G-c)."""

    status: Status
    answer: Tree | None
    failure: Failure | None


class Taken(Struct, frozen=True, gc=False, array_like=True):
    """The value of Step `step`, or the part of it that `path` names, belongs into hole number `hole`.

    Attributes:
        source: the Worker that hands it over; 0 for the one that the Step is armed at.
    """

    hole: int
    step: int
    path: tuple[Key, ...]
    source: WorkerId = WorkerId(0)


class Armed(Struct, frozen=True, gc=False, array_like=True):
    """An Invocation that is complete when the values are there that it takes; until then those holes are empty."""

    invocation: Invocation
    takes: tuple[Taken, ...]


class Arm(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """Run these as soon as what they take has succeeded, here or at other Workers (`control="worker"`).

    It is an offer: when an Invocation is ready the machine sends an `Invoke` of it all the same.
    """

    function: FunctionSpec
    armed: tuple[Armed, ...]


class Feed(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """Hand the value of each of these Steps to this Worker as soon as it has succeeded here: (Step, Worker)."""

    readers: tuple[tuple[int, WorkerId], ...]


class Outlined(Struct, frozen=True, gc=False, array_like=True):
    """A Step of a graph that is known before it runs.

    Attributes:
        takes: the Steps that it waits for, of those that have not settled.
        is_single: whether one Worker runs it: it is no map, no Workflow, and no wait.
    """

    step: int
    id: StepId
    label: str
    takes: tuple[int, ...]
    is_single: bool


class Outline(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """The Steps of a `def` body, each behind those that it takes from: their homes can be planned together.

    Attributes:
        workflow: names what was started: its Function and its label.
    """

    workflow: tuple[str, str]
    steps: tuple[Outlined, ...]


class Ahead(enum.IntEnum):
    """What Workers are told of a Run before it is ready."""

    NOTHING = 0
    KNOWN = 1
    """The graphs of `def` bodies, for those who plan (`Outline`)."""
    ARMED = 2
    """That, and Steps are armed (`Arm`)."""


class StartRules(Struct, frozen=True):
    """How Steps of a Run come to start.

    Attributes:
        ahead: what Workers are told of Steps before they are ready (`control="worker"` arms them).
        on_outputs: whether Steps may run on outputs of others that go on, and so take Sandboxes beside them.
    """

    ahead: Ahead = Ahead.NOTHING
    on_outputs: bool = True


WHEN_READY: Final = StartRules()
"""Nobody is told ahead, and outputs are run on."""


WorkCommand = Arm | Feed | Outline | Invoke | InvokeItems | EnterBody | Deliver | LeaveBody | Revoke
"""What a Worker does for a Run."""

RunCommand = Append | Hurry | WorkCommand | WakeAt | WaitsUntil | Release | LeftOut | Park | End | PutFixed
