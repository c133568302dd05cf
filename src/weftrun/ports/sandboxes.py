"""Sandboxes: isolated places that execute Attempts."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from weftrun.model.ids import ObjectId, SandboxId
from weftrun.model.messages import FromSandbox, ToSandbox
from weftrun.model.policy import Bundle, Privileges
from weftrun.model.work import InSlot


class Profile(Struct, frozen=True):
    """What a Sandbox is made for: it serves any Function of its bundle that has these policies."""

    bundle: Bundle
    network: bool = True
    privileges: Privileges = "drop"


class Progress(Struct, frozen=True):
    """What a Sandbox says it is running, read from its page without asking it.

    Attributes:
        batch: number of the Batch it is in; 0 before the first.
        index: position in the Batch (for a map: the item's index) of what was entered last; -1 for none yet.
        entered: whether the body at `index` is running now; False between two.
        entered_at: seconds since the epoch when it was entered.
        text: what that body has printed so far through `sys.stdout` and `sys.stderr`, bounded.
        starved_s: how long the Sandbox has waited for a processor in all; 0 where that is not known.
        where: the author's line that it was at when it was asked at its end; empty where it was not, or gave no answer.
        piped: what has come over descriptors 1 and 2 and was not told yet, bounded.
        slots: where it runs several at once, exactly those that are entered and were not told of.
    """

    batch: int
    index: int
    entered: bool
    entered_at: float
    text: str = ""
    starved_s: float = 0.0
    where: str = ""
    piped: str = ""
    slots: tuple[InSlot, ...] = ()


class SandboxEvents(Protocol):
    """Whom Sandboxes tell. All calls come on the loop, never from inside a call into `Sandboxes`."""

    def sandbox_ready(
        self, sandbox: SandboxId, start_s: float, isolation: tuple[str, ...], unforkable: tuple[str, ...] = (),
        written: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """The Sandbox takes work, `start_s` seconds after it was asked for.

        `unforkable` is what the author's import left that no fork may have (threads, connections, …), each in a few
        words: for that it was not forked but had to import everything again. `written` names files of its code
        that were written to after the program had begun.
        """

    def sandbox_spoke(self, sandbox: SandboxId, messages: list[FromSandbox]) -> None:
        """Messages came, in order. Objects in them have engine numbers already and one holder: the receiver."""

    def sandbox_printed(self, sandbox: SandboxId, text: str) -> None:
        """Text came over descriptor 1 or 2 (not through `sys.stdout`), before the messages that follow it."""

    def sandbox_gone(self, sandbox: SandboxId, why: str, progress: Progress) -> None:
        """The Sandbox ended, for the reason in one clause (`signal 11 (SIGSEGV)`, `exit code 3`, `killed by us`).

        Everything it had said before was told before. Comes exactly once for each created Sandbox, also when it
        could not be made (`its code could not be imported: …`).
        """


class Sandboxes(Protocol):
    """Makes, feeds and ends Sandboxes. Called on the loop only; nothing here blocks longer than a system call."""

    def listen(self, events: SandboxEvents) -> None:
        """Say whom to tell. Called once, before anything else."""

    def create(self, sandbox: SandboxId, profile: Profile) -> None:
        """Begin to make a Sandbox; answered by `sandbox_ready` or `sandbox_gone`."""

    def send(self, sandbox: SandboxId, message: ToSandbox) -> None:
        """Send a message and the descriptors of its `objects`. A Sandbox that is gone swallows it."""

    def hold_until(self, at: float) -> None:
        """Let bodies be entered until then (seconds since the epoch), in all Sandboxes, and not after (O3).

        A Sandbox that is to enter a body later ends instead. Until it is called first there is no bound.
        """

    def fence(self) -> None:
        """Let no body be entered any more in the Sandboxes that were made so far, whatever `hold_until` says later.

        What they were given may belong to other engines by now (O3). One that is to enter a body ends instead.
        """

    def let(self, batch: int) -> None:
        """Let a Batch be entered that was sent as a prepared one. One at a time is neither let nor withdrawn."""

    def withdraw(self, batch: int) -> None:
        """Let a prepared Batch be entered never; its Sandbox says so by `Outcomes` of it that are none.

        Until then, or until it is gone, no other Batch may be prepared.
        """

    def progress(self, sandbox: SandboxId) -> Progress:
        """Read the page of a living Sandbox."""

    def held_bytes(self, sandbox: SandboxId) -> int:
        """Return how much memory would be free if a Sandbox were ended, in bytes; 0 where that can't be told."""

    def kill(self, sandbox: SandboxId, *, says_where: bool = False) -> None:
        """End a Sandbox and all it has started, at once; answered by `sandbox_gone`. Idempotent.

        One that `says_where` it is gets a moment to answer first, whatever it is doing.
        """

    def held(self, sandbox: SandboxId) -> frozenset[ObjectId]:
        """Return the Objects that a Sandbox was sent and has not reported as dropped."""

    def close(self) -> None:
        """End all Sandboxes and zygotes and return when no process is left. Idempotent; tells no more events."""
