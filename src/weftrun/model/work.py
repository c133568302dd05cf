"""Events and commands of the machine of a Worker: Invocations to Sandboxes, outcomes back to Runs."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.events import AttemptsEnded, BodyLost, BodyMade, BodyReturned, Disarmed, ItemsEnded, OutputPut
from weftrun.model.graph import SignalType
from weftrun.model.ids import RunUid, SandboxId, StepId, WorkerId
from weftrun.model.messages import Batch, BodyDeliver, BodyDrop, BodyStart, ItemBatch
from weftrun.model.outcomes import Moved
from weftrun.model.policy import FunctionSpec

BodyMessage = BodyStart | BodyDeliver | BodyDrop


Cold = Literal["first", "busy", "idle", "room", "lost", "memory", "kept", "ahead"]
"""Why a Sandbox is made: no other one of its code was made before; all others are busy, or are being made; or there is
none left: the last one was ended after it had been idle for long, ended to make room for other code, died, or was ended
since Sandboxes that wait held too much memory. Or nothing waits for it: it is to be kept, or calls are expected."""
WARMED = ("kept", "ahead")
"""Reasons of those for which nothing waited."""


class StartSandbox(Struct, frozen=True, gc=False):
    """Make a Sandbox of profile number `profile`; `why` is what people are told of it."""

    sandbox: SandboxId
    profile: int
    why: Cold = "first"


class Send(Struct, frozen=True, gc=False):
    """Send a message to a Sandbox. `run` numbers in it are the engine's; the runtime puts ids beside them."""

    sandbox: SandboxId
    message: Batch | ItemBatch | BodyMessage


class KillSandbox(Struct, frozen=True, gc=False):
    """End a Sandbox at once, or where it `says_where` it is, a moment later."""

    sandbox: SandboxId
    says_where: bool = False


Fact = str | int | float

WorkEvent = AttemptsEnded | ItemsEnded | BodyMade | BodyReturned | BodyLost | OutputPut | Disarmed
"""What became of what a Run wanted done."""

NOBODY = 0
"""Number of no Run: what is told to it was said by a body that was left, and only its Objects are to be released."""


class Tell(Struct, frozen=True, gc=False):
    """Hand an event to the machine of Run number `run`, or to `NOBODY`.

    Attributes:
        function: whose Attempts have ended, as it is run here; None where the event tells of something else.
    """

    run: int
    event: WorkEvent
    function: FunctionSpec | None = None


class Said(Struct, frozen=True, gc=False, array_like=True):
    """An Attempt printed this, or has something that the story is to tell.

    Attributes:
        printed: of a map's items how many characters each, as in `ItemOutcomes`.
        said: of a Workflow's body, which prints the same again when it is replayed, how many characters had been told
            before in this entry of it; -1 for others.
        note: a sentence for the story.
        moved: what it moved in Objects, where that is anything.
        takes: of which types a Workflow's body awaits signals.
    """

    run: int
    step: StepId
    attempt: int
    sandbox: SandboxId
    text: str
    printed: tuple[tuple[int, int], ...] = ()
    said: int = -1
    note: str = ""
    moved: Moved | None = None
    takes: tuple[SignalType, ...] = ()


class Came(Struct, frozen=True, gc=False, array_like=True):
    """An Object came to the host of a Worker; for people only.

    Attributes:
        step: the machine's index of the Step whose value it is.
        worker: to which it came.
        source: from which it was fetched; `ENGINE` where that has sent it.
        began_at, at: when it was asked for, and when it was there, in seconds since the epoch.
    """

    run: int
    step: int
    worker: WorkerId
    source: WorkerId
    nbytes: int
    began_at: float
    at: float


class AttemptAt(Struct, frozen=True, gc=False, array_like=True):
    """An Attempt that a Sandbox was given and has not reported.

    Attributes:
        sandbox, no, index: the Sandbox, the Batch and the position in it.
        run: number of the Run.
        step: index of the Step inside its Run's machine; `id` is its path.
        attempt: from 1.
        undoes: number of the Attempt that it undoes, where it is a rollback; else 0.
    """

    sandbox: SandboxId
    no: int
    index: int
    run: int
    step: int
    id: StepId
    attempt: int
    undoes: int


class BatchHolds(Struct, frozen=True, gc=False, array_like=True):
    """What is in a Batch, for whoever must know what may have been entered when a Worker is gone (W9).

    Attributes:
        singles: of each Invocation the number of its Run, the machine's index of its Step, its Attempt, and the Attempt
            that it undoes.
        items: number of the Run, index of the Step and Attempt, where it is a Batch of items of a map in `ranges`.
        must_be_known: whether it goes to its Sandbox only when the engine is sure to know of it, whatever ends then.
    """

    singles: tuple[tuple[int, int, int, int], ...] = ()
    items: tuple[int, int, int] | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    must_be_known: bool = False


class BatchSent(Struct, frozen=True, gc=False, array_like=True):
    """A Batch goes to a Sandbox; for people, but for `holds`.

    Attributes:
        run: uid of the Run of its first Invocation.
        step, attempt: of that Invocation; Attempt 0 for items of a map.
        size: how many bodies.
        fresh: facts of the Sandbox (`start_s`, `isolation`, `threads`) where this is its first Batch.
        host: of the Worker that has the Sandbox; empty for the engine's own.
        holds: what is in it.
    """

    run: RunUid
    sandbox: SandboxId
    function: str
    step: StepId
    attempt: int
    size: int
    fresh: dict[str, Fact] | None = None
    host: str = ""
    holds: BatchHolds = BatchHolds()


class BatchCounts(Struct, frozen=True):
    """What Workers have given to Sandboxes since their engine was opened.

    Attributes:
        batches: how many Batches.
        attempts: how many bodies were in them.
        cold_starts: how many Sandboxes were made for what waited.
        cold_start_s: how long these took to be made, in seconds, in all.
        cold_whys: how many of them for which reason; see `Cold`.
        clients: what `weftrun.shared` did in them, as far as they told; see `Moved.clients`.
        warm_starts: how many Sandboxes got their first Batch that were made before anything waited for them.
    """

    batches: int = 0
    attempts: int = 0
    cold_starts: int = 0
    cold_start_s: float = 0.0
    cold_whys: tuple[tuple[str, int], ...] = ()
    clients: tuple[int, ...] = (0, 0, 0, 0, 0)
    warm_starts: int = 0

    def with_sent(self, sent: BatchSent) -> BatchCounts:
        """Return what they are with one more Batch."""
        batches, attempts = self.batches + 1, self.attempts + sent.size
        if sent.fresh is None:
            return replace(self, batches=batches, attempts=attempts)
        start_s, why = sent.fresh.get("start_s"), str(sent.fresh.get("cold", "first"))
        if why in WARMED:
            return replace(self, batches=batches, attempts=attempts, warm_starts=self.warm_starts + 1)
        cold_s = start_s if isinstance(start_s, float) else 0.0
        whys = dict(self.cold_whys)
        whys[why] = whys.get(why, 0) + 1
        cold_s += self.cold_start_s
        whys_now = tuple(sorted(whys.items()))
        return BatchCounts(
            batches, attempts, self.cold_starts + 1, cold_s, whys_now, self.clients, self.warm_starts
        )  # fmt: skip

    def with_moved(self, moved: Moved | None) -> BatchCounts:
        """Return what they are with what one more Attempt tells."""
        if moved is None or len(moved.clients) != len(self.clients):
            return self
        return replace(self, clients=tuple(a + b for a, b in zip(self.clients, moved.clients, strict=True)))


class Running(Struct, frozen=True, gc=False, array_like=True):
    """What a Worker saw running when it looked last: the body of one Attempt; for people only.

    Attributes:
        run: number of the Run.
        step: the Step, or the item of a map.
        entered_at, seen_at: seconds since the epoch.
        text: what the body has printed so far through `sys.stdout` and `sys.stderr`, bounded.
        piped: what came over descriptors 1 and 2 meanwhile (programs that it started), bounded.
    """

    run: int
    step: StepId
    attempt: int
    sandbox: SandboxId
    entered_at: float
    seen_at: float
    text: str = ""
    piped: str = ""


class InSlot(Struct, frozen=True, gc=False):
    """An Attempt that a Sandbox is in beside others, by its page: entered, and not told of yet.

    Attributes:
        batch, index: number of the Batch, and the position in it (for a map: the item's index).
        entered_at: seconds since the epoch when it was entered.
        text: what it has printed so far.
    """

    batch: int
    index: int
    entered_at: float
    text: str = ""


class TickAt(Struct, frozen=True, gc=False):
    """Tick the machine at this time (seconds since the epoch), or a little later; a later command replaces it."""

    at: float


WorkerCommand = StartSandbox | Send | KillSandbox | Tell | Said | TickAt
