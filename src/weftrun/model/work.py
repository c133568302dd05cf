"""Events and commands of the machine of a Worker: Invocations to Sandboxes, outcomes back to Runs."""

from __future__ import annotations

from msgspec import Struct

from weftrun.model.events import AttemptsEnded, BodyLost, BodyMade, BodyReturned, ItemsEnded
from weftrun.model.ids import SandboxId, StepId
from weftrun.model.messages import Batch, BodyDeliver, BodyDrop, BodyStart, ItemBatch

BodyMessage = BodyStart | BodyDeliver | BodyDrop


class StartSandbox(Struct, frozen=True, gc=False):
    """Make a Sandbox of profile number `profile`."""

    sandbox: SandboxId
    profile: int


class Send(Struct, frozen=True, gc=False):
    """Send a message to a Sandbox. `run` numbers in it are the engine's; the runtime puts ids beside them."""

    sandbox: SandboxId
    message: Batch | ItemBatch | BodyMessage


class KillSandbox(Struct, frozen=True, gc=False):
    """End a Sandbox at once, or where it `says_where` it is, a moment later."""

    sandbox: SandboxId
    says_where: bool = False


NOBODY = 0
"""Number of no Run: what is told to it was said by a body that was left, and only its Objects are to be let go."""


class Tell(Struct, frozen=True, gc=False):
    """Hand an event to the machine of Run number `run`, or to `NOBODY`."""

    run: int
    event: AttemptsEnded | ItemsEnded | BodyMade | BodyReturned | BodyLost


class Said(Struct, frozen=True, gc=False):
    """An Attempt printed this, or has something that the story is to tell.

    Attributes:
        printed: of a map's items how many characters each, as in `ItemOutcomes`.
        said: of a Workflow's body, which prints the same again when it is replayed, how many characters had been told
            before in this entry of it; -1 for others.
        note: a sentence for the story.
    """

    run: int
    step: StepId
    attempt: int
    sandbox: SandboxId
    text: str
    printed: tuple[tuple[int, int], ...] = ()
    said: int = -1
    note: str = ""


class TickAt(Struct, frozen=True, gc=False):
    """Tick the machine at this time (seconds since the epoch), or a little later; a later command replaces it."""

    at: float


WorkerCommand = StartSandbox | Send | KillSandbox | Tell | Said | TickAt
