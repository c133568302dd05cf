"""The Worker: what executes on one host, as the driver of Runs sees it.

The driver of Runs decides what is to be done and records what became of it; a Worker owns queues, Batches and
Sandboxes. They meet in values only, so that the same driver works with a Worker in its own process and with one
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from weftrun.model.commands import Invoke, WorkCommand
from weftrun.model.hosts import Begin, KnownBatches, WorkerAbout
from weftrun.model.ids import ObjectId, RunId, RunUid, SandboxId, WorkerId
from weftrun.model.messages import Answer, Asking
from weftrun.model.outcomes import Failure
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.work import AttemptAt, BatchSent, Came, Running, Said, WorkEvent


class WorkerEvents(Protocol):
    """Whom a Worker tells. All calls come on the loop."""

    def told(self, run: int, event: WorkEvent) -> None:
        """Something became of what Run number `run` wanted done; Objects in it have one holder: the receiver.

        `run` may be over, or `NOBODY`: then only the Objects are to be released.
        """

    def printed(self, said: Said) -> None:
        """An Attempt printed text."""

    def batch_sent(self, sent: BatchSent, go: Callable[[], None]) -> None:
        """A Batch is to go to a Sandbox: call `go` when it may, at once or later.

        It may when the engine will have heard of it even if this Worker ends then (W9).
        """

    def came(self, came: Came) -> None:
        """An Object came to the host of a Worker. A Worker of the engine's own host tells nothing of this sort."""

    def running(self, rows: Sequence[Running]) -> None:
        """Tell what has been running for long; it takes the place of what was told before, also where it is nothing."""

    def asked(self, attempt: AttemptAt, message: Asking) -> None:
        """An Attempt says something to its transaction, or of a stream, which is answered by `Worker.answer`.

        What the same message of the Sandbox told of outcomes was told before.
        """

    def sandbox_ended(self, sandbox: SandboxId) -> None:
        """A Sandbox is gone. What becomes of its Attempts is told after this."""

    def rested(self) -> None:
        """What there was to be done has been handed on; perhaps nothing runs now."""

    def gone(self, why: str, known: KnownBatches) -> None:
        """The Worker is gone, for the reason in one clause: it tells nothing more, and enters nothing more (O3).

        `known` says how far it is known what it had handed to Sandboxes. A Worker in the engine's own process is never
        gone.
        """


class Worker(Protocol):
    """Executes what Runs want done. Called on the loop only; nothing here blocks."""

    @property
    def quiet(self) -> bool:
        """Whether no Sandbox has anything to do that would go on by itself."""

    def listen(self, events: WorkerEvents) -> None:
        """Say whom to tell. Called once, before anything else."""

    def open_run(self, run: int, id: RunId, uid: RunUid, bundle: Bundle, trace: str = "") -> None:
        """Run number `run` may send work from now on; its Functions are those of `bundle`.

        What its bodies are told of its trace is `trace`: the trace id, a whole `traceparent`, or nothing.
        """

    def close_run(self, run: int) -> None:
        """The Run is over: it has nothing under way but what it revoked."""

    def leave_run(self, run: int) -> None:
        """The Run is given up before its end: drop what waits of it, end what runs, and forget it."""

    def work(self, run: int, command: WorkCommand) -> None:
        """Take a command of a Run's machine; answered by `told`. It is placed soon, together with what else comes."""

    def release(self, objects: Sequence[ObjectId]) -> None:
        """Forget these Objects: the Run that held them needs them no more."""

    def answer(self, attempt: AttemptAt, answer: Answer) -> None:
        """Answer what an Attempt said to its transaction, or of a stream. One that is over swallows it."""

    def overstayed(self, attempt: AttemptAt, failure: Failure) -> None:
        """End the Sandbox for what this Attempt does, which fails so, if it is still in it."""

    def hold_until(self, at: float) -> None:
        """Enter bodies until then (seconds since the epoch) and not after (O3). Without a call there is no bound."""

    def fence(self) -> None:
        """Enter nothing more of what was given so far, whatever `hold_until` says later (O3)."""

    def drain(self) -> None:
        """Start nothing more; what runs may end."""

    def stop(self) -> None:
        """Do nothing more at all, and tell nothing."""


class PreparingWorker(Protocol):
    """A Worker that can have a body ready to be entered while the row is committed that it must not be entered before.

    Between the two calls nothing else is called: the loop stands still while it commits.
    """

    def prepare(self, run: int, command: Invoke) -> bool:
        """Send the one Invocation of a command that will come as work when a commit has happened.

        Returns whether it was: then `prepared_over` must follow.
        """

    def prepared_over(self, *, is_asked: bool) -> None:
        """Let it be entered: the command comes as work at once. Or, where it is not, take it back."""


class LimitKeeper(Protocol):
    """Whom a Worker asks for places of Functions that have a limit."""

    def wants(self, function: FunctionSpec) -> None:
        """An Attempt of a Function with a limit waits for its place."""


class LimitedWorker(Protocol):
    """A Worker that runs Functions with a limit: no more Attempts at once than its engine holds places."""

    def keep_limits(self, keeper: LimitKeeper) -> None:
        """Say whom to ask for places. Without, Attempts of such Functions fail."""

    def demand(self, function: str) -> tuple[int, int]:
        """Return how many places of a Function's limit are in use, and how many Attempts wait for one."""

    def hold_places(self, function: str, count: int) -> None:
        """So many Attempts of a Function may run at once from now on; more that do so already go on."""

    def runs_waiting(self, function: str) -> set[int]:
        """Return the numbers of Runs of which Attempts wait for a place of a Function's limit."""


class OwnWorker(LimitedWorker, PreparingWorker, Protocol):
    """What a Worker in the engine's own process can do besides."""


class DistantWorker(Worker, Protocol):
    """A Worker in another process, here or on another host, which may die without a word."""

    @property
    def heard_at(self) -> float | None:
        """When it last gave a sign of life, in seconds since the epoch; None where it never did."""

    @property
    def about(self) -> WorkerAbout | None:
        """What it told of itself last; None where it never did."""

    def ping(self) -> None:
        """Say that the engine lives, and ask for a sign of life."""

    def end(self) -> None:
        """It is declared dead: end it where that can be done. It is told to be `gone` soon, in any case."""


class MakeBegin(Protocol):
    """Says who a new Worker is."""

    def __call__(self, worker: WorkerId, processors: int | None = None) -> Begin:
        """Return the first message to a Worker whose host has so many processors; None for this host."""
