"""What an engine and a Worker in another process say to one another, and what such Workers do.

Objects: a `Work` message travels with the descriptors of its `objects`, in their order; from then on the Worker knows
them by the engine's numbers, until `Forget`. From a Worker, the k-th descriptor of a frame (from 0) is the Object
numbered `-(k + 1)` in it.

Workers of one engine on one host hand one another values over sockets of their own, with descriptors, too. Workers on
hosts of their own keep what they made, under numbers of their own, until the engine forgets it: the engine and others
fetch it there.
"""

from __future__ import annotations

import enum

from msgspec import Struct

from weftrun.model.commands import WorkCommand
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.messages import Answer, Asking
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle
from weftrun.model.values import Data, Object
from weftrun.model.warm import UNRULED, Warm
from weftrun.model.work import AttemptAt, BatchSent, Came, Running, Said, WorkEvent

ENGINE = WorkerId(0)
"""The Worker in the engine's own process, where Workflows' bodies run (W8)."""

SANDBOXES_EACH = 1_000_000
"""Numbers of Sandboxes that one Worker may use up: those of Worker n begin behind n times this."""


class KnownBatches(enum.Enum):
    """What an engine knows, when a Worker is gone, of the Batches that this one had handed to Sandboxes (W9)."""

    ALL = "all"
    """Each: all that the Worker had said has come, and it says so before a Sandbox gets a Batch."""
    ASKED = "asked"
    """Each that had to be known, for which the Worker waits; of others it may have handed on some more."""
    NOTHING = "nothing"
    """None for sure."""


# ---------------------------------------------------------------------- engine -> Worker


class Begin(Struct, frozen=True, gc=False, array_like=True, tag=0):
    """The first message: who the Worker is.

    Attributes:
        hash_seed: the Journal's, for every interpreter (B4).
        open_files_max: soft limit of open descriptors for the author's code.
        folder: where Objects spill to.
        quota_bytes: Objects in memory, before they spill.
        store_folder: to which Objects are written, and from which readers read them; empty where they lie in memory.
        serves_at: address of this host at which the engine's other Workers reach this one; empty where they don't.
        secret: what Workers of this engine know, and nobody else.
        is_apart: whether it may die together with what it has said last: it is on another host.
        warm: which Sandboxes are kept or made though nothing needs them.
    """

    worker: WorkerId
    sandboxes_max: int
    limits: Limits
    hash_seed: int
    open_files_max: int
    folder: str
    quota_bytes: int
    store_folder: str = ""
    serves_at: str = ""
    secret: bytes = b""
    is_apart: bool = False
    warm: Warm = UNRULED


class BeginRun(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A Run may send work from now on."""

    run: int
    id: RunId
    uid: RunUid
    bundle: Bundle
    trace: str = ""


class CloseRun(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """The Run is over."""

    run: int


class LeaveRun(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """The Run is given up before its end: drop what waits of it, and end what runs."""

    run: int


class KeptElsewhere(Struct, frozen=True, gc=False, array_like=True):
    """An Object that a Worker keeps.

    Attributes:
        obj: as the engine names it.
        worker: which keeps it; it may be the one that is told.
        number: under which that one keeps it.
        step: the machine's index of the Step whose value it is.
    """

    obj: Object
    worker: WorkerId
    number: ObjectId
    step: int


class Work(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """Do this for a Run.

    Attributes:
        number: counted from 1; `Rested` says up to which one the Worker has heard.
        objects: those in `command` whose descriptors come along, each once.
        elsewhere: those that are to be fetched from Workers that keep them.
    """

    number: int
    run: int
    command: WorkCommand
    objects: tuple[Object, ...] = ()
    elsewhere: tuple[KeptElsewhere, ...] = ()


class Forget(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """No Run needs these Objects any more.

    Attributes:
        objects: engine's numbers.
        kept: numbers of the Worker's own.
    """

    objects: tuple[ObjectId, ...]
    kept: tuple[ObjectId, ...] = ()


class AnswerAttempt(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """Answer what an Attempt said to its transaction, or of a stream."""

    attempt: AttemptAt
    answer: Answer


class EndAttempt(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """End the Sandbox for what this Attempt does, which fails so."""

    attempt: AttemptAt
    failure: Failure


class HoldUntil(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """Enter bodies until then, and not after, unless told again (O3).

    Attributes:
        at: `CLOCK_BOOTTIME` of this host, in seconds: a Worker that was frozen may hear of it long after it was said.
    """

    at: float


class FenceWork(Struct, frozen=True, gc=False, array_like=True, tag=9):
    """Enter nothing more of what was given so far."""


class Drain(Struct, frozen=True, gc=False, array_like=True, tag=10):
    """Start nothing more."""


class Ping(Struct, frozen=True, gc=False, array_like=True, tag=11):
    """The engine lives; answered by `Pong`."""


class Meet(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """Another Worker of the same engine can be spoken to over the socket whose descriptor comes along."""

    worker: WorkerId


class Dial(Struct, frozen=True, gc=False, array_like=True, tag=13):
    """Another Worker of the same engine can be reached at this address; answered by `Met` if it can."""

    worker: WorkerId
    host: str
    port: int


class Parted(Struct, frozen=True, gc=False, array_like=True, tag=14):
    """Another Worker is gone."""

    worker: WorkerId


class Bring(Struct, frozen=True, gc=False, array_like=True, tag=15):
    """Objects that a Worker lacked: their descriptors come along."""

    objects: tuple[Object, ...]


class SendKept(Struct, frozen=True, gc=False, array_like=True, tag=16):
    """The engine can't reach the Worker: it is to send what it keeps under this number, as `KeptSent`."""

    number: ObjectId


class MayGo(Struct, frozen=True, gc=False, array_like=True, tag=17):
    """The engine knows of the Batch that asked under this number: it may go to its Sandbox."""

    number: int


ToWorker = (
    Begin
    | BeginRun
    | CloseRun
    | LeaveRun
    | Work
    | Forget
    | AnswerAttempt
    | EndAttempt
    | HoldUntil
    | FenceWork
    | Drain
    | Ping
    | Meet
    | Dial
    | Parted
    | Bring
    | SendKept
    | MayGo
)

# ---------------------------------------------------------------------- Worker -> engine


class Told(Struct, frozen=True, gc=False, array_like=True, tag=20):
    """Something became of what a Run wanted done.

    Attributes:
        kept: under which numbers the Worker keeps the event's Objects, in their order, where they don't come along.
    """

    run: int
    event: WorkEvent
    kept: tuple[ObjectId, ...] = ()


class Printed(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """An Attempt printed text."""

    said: Said


class SentBatch(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """A Batch is to go to a Sandbox.

    Attributes:
        number: under which it waits for `MayGo`; 0 where it does not.
    """

    batch: BatchSent
    number: int = 0


class Asked(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """An Attempt says something to its transaction, or of a stream."""

    attempt: AttemptAt
    message: Asking


class SandboxEnded(Struct, frozen=True, gc=False, array_like=True, tag=24):
    """A Sandbox is gone."""

    sandbox: SandboxId


class Rested(Struct, frozen=True, gc=False, array_like=True, tag=25):
    """What there was to be done has been handed on.

    Attributes:
        quiet: whether no Sandbox has anything to do.
        number: of the last `Work` that was heard.
    """

    quiet: bool
    number: int


class WorkerAbout(Struct, frozen=True, gc=False, array_like=True):
    """What a Worker tells of itself now and then.

    Attributes:
        host: name of its host.
        pid: of its process.
        sandboxes: how many it has now.
        memory_bytes: of its process and all below it; what several share is counted once.
        object_bytes: of Objects that it keeps.
    """

    host: str
    pid: int
    sandboxes: int
    memory_bytes: int
    object_bytes: int


class Pong(Struct, frozen=True, gc=False, array_like=True, tag=26):
    """The Worker lives."""

    about: WorkerAbout | None = None


class Shown(Struct, frozen=True, gc=False, array_like=True, tag=27):
    """This has been running for long, and nothing else."""

    rows: tuple[Running, ...]


class Serves(Struct, frozen=True, gc=False, array_like=True, tag=28):
    """Other Workers can reach this one at this port of its host."""

    port: int


class Met(Struct, frozen=True, gc=False, array_like=True, tag=29):
    """This Worker can hand another one values."""

    worker: WorkerId


class Lacks(Struct, frozen=True, gc=False, array_like=True, tag=30):
    """These Objects, by the engine's numbers, could not be fetched from who keeps them: answered by `Bring`."""

    objects: tuple[ObjectId, ...]


class KeptSent(Struct, frozen=True, gc=False, array_like=True, tag=31):
    """What a Worker keeps under a number: its descriptor comes along."""

    number: ObjectId


class CameHere(Struct, frozen=True, gc=False, array_like=True, tag=32):
    """An Object came from another Worker."""

    came: Came


FromWorker = (
    Pong
    | Shown
    | Told
    | Printed
    | SentBatch
    | Asked
    | SandboxEnded
    | Rested
    | Serves
    | Met
    | Lacks
    | KeptSent
    | CameHere
)

# ---------------------------------------------------------------------- Worker -> Worker


class HandedOver(Struct, frozen=True, gc=False, array_like=True, tag=40):
    """The value of a Step.

    On one host an Object in it is numbered -1, and its descriptor comes along; else it is to be fetched by its number.

    Attributes:
        run: its number in the engine of both.
    """

    run: int
    step: int
    value: Data
