"""What an engine must do for the handles that authors hold."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.outcomes import Failure, Status
from weftrun.model.placement import Expected
from weftrun.model.policy import Bundle, FunctionSpec
from weftrun.model.values import Data, Payload, Tree

if TYPE_CHECKING:
    from weftrun.model.queues import QueueOptions
    from weftrun.model.schedules import KeptSchedule
    from weftrun.sdk.schedules import Change

T = TypeVar("T")


class RunEnd(Protocol):
    """How a Run ended."""

    @property
    def status(self) -> Status:
        """`succeeded`, `failed` or `cancelled`."""

    @property
    def answer(self) -> Tree | None:
        """Its encoded value."""

    @property
    def failure(self) -> Failure | None:
        """Why it has none."""


class Ticket(Protocol):
    """The engine's handle of a Run."""

    id: RunId
    uid: RunUid
    joined: bool
    compared: bool
    begun_otherwise: str
    ended_before: float | None


class Core(Protocol):
    """What an engine must do for these handles."""

    @property
    def inline_bytes_max(self) -> int:
        """Encoded values up to this size travel inline."""

    def start(
        self,
        id: RunId | None,
        function: FunctionSpec,
        bundle: Bundle,
        args: Payload,
        digest: str,
        also: tuple[str, ...],
        *,
        wait_start: bool,
        durable: bool,
        asked: QueueOptions | None,
    ) -> Any:
        """Start a Run or join the one with this id; return its ticket. One that is not `durable` keeps no record.

        `also` are digests of the same arguments, written in another way than that of `digest`. Where something is
        `asked` of a queue, the Run is put there.
        """

    def expect(self, function: FunctionSpec, expected: Mapping[str, Expected]) -> None:
        """Take what the Steps of a Workflow are expected to need, by label, before a Run of it is started."""

    def keep_warm(self, function: FunctionSpec, bundle: Bundle, count: int) -> None:
        """Let so many Sandboxes be there for a Function, or for the body of a Workflow, though nothing waits."""

    @property
    def journal(self) -> str:
        """URL of its Journal for people: absolute, and without a password."""

    @property
    def state(self) -> str:
        """What can be had of it: `open`, `closed` or `broken`."""

    def started(self, ticket: Any) -> Awaitable[None]:
        """Return what to await, in the running asyncio loop, until a Run's start is durable; raises what `start` does.

        Giving up on it changes nothing for the Run.
        """

    def find(self, id: RunId) -> Any:
        """Return the ticket of a Run that exists."""

    def retry(self, id: RunId, *, force: bool) -> Any:
        """Begin another life of a Run that failed, was cancelled, or waits for code, and return its ticket."""

    def function_of(self, id: RunId) -> str:
        """Return the name of a Run's Function."""

    def fork(
        self, run: RunId, step: StepId, id: RunId | None, function: FunctionSpec, bundle: Bundle,
        args: Payload | None, digest: str, *, force: bool,
    ) -> Any:  # fmt: skip
        """Start a Run that is a fork of another one, and return its ticket."""

    def wait(self, ticket: Any, timeout_s: float | None) -> RunEnd:
        """Wait for a Run's end."""

    def future(self, ticket: Any) -> Awaitable[None]:
        """Return what to await for a Run's end in the running asyncio loop."""

    def status(self, ticket: Any) -> tuple[Status, str | None]:
        """Return the status of a Run and what it stands still for."""

    def steps(self, ticket: Any) -> list[Any]:
        """Return the Steps of a Run."""

    def notebook(self, ticket: Any) -> str | None:
        """Return a Run as static HTML; None where there is nothing to show."""

    def logs(self, ticket: Any) -> list[Any]:
        """Return what the Attempts of a Run printed."""

    def runs(self, limit: int, before: int | None) -> list[Any]:
        """Return Runs, newest first; with `before` only those that are older than the one with this `place`."""

    def cancel(self, ticket: Any, *, force: bool) -> None:
        """Ask for a Run to be cancelled; with `force` nothing of it is undone."""

    def signal(self, ticket: Any, name: str, value: bytes, message: str) -> None:
        """Send a signal to a Run, and return once it is durable."""

    def judged_signal(self, ticket: Any, name: str, value: object) -> str:
        """Return what is to be said of a signal before it is sent; `SignalRefused` where its type is another one."""

    def published(self, ticket: Any, name: str) -> tuple[builtins.list[Data], bool]:
        """Return the encoded events of one name that a Run has published so far, and whether it has ended."""

    def put_schedule(self, wanted: KeptSchedule) -> KeptSchedule:
        """Create a schedule, or give the one that has its id another definition."""

    def schedule(self, id: str) -> KeptSchedule:
        """Return the schedule with this id."""

    def schedules(self) -> list[KeptSchedule]:
        """Return all schedules, by their ids."""

    def change_schedule(self, id: str, change: Change) -> None:
        """Pause, resume or delete a schedule."""

    def trigger_schedule(self, id: str) -> str:
        """Let a schedule start a Run beside its times, and return the id of that Run."""

    def schedule_times(self, id: str, count: int) -> list[float]:
        """Return the next times of a schedule, in seconds since the epoch."""

    def on_queues(self, work: Callable[[Any], T]) -> T:
        """Return what `work` makes of the queues of the Journal."""

    def publish(self, pieces: list[bytes | memoryview]) -> Data:
        """Make an Object of a large encoded value."""

    def read(self, data: Data) -> bytes | memoryview:
        """Return the bytes of an answer."""

    def close(self, *, drain_s: float) -> None:
        """End the engine and everything it started."""
