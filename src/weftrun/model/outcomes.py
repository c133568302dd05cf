"""How an Attempt, a Step and a Run can end."""

from __future__ import annotations

import enum
from typing import Literal

from msgspec import Struct

from weftrun.model.emits import Emit
from weftrun.model.ids import StepId
from weftrun.model.values import Data, Payload

Status = Literal["pending", "running", "succeeded", "failed", "cancelled"]
"""What the API shows of a Run or a Step."""


class Reason(enum.StrEnum):
    """Why an Attempt failed."""

    RAISED = "raised"
    """The body raised an error."""
    TIMEOUT = "timeout"
    """The body ran longer than its `timeout_s`."""
    MEMORY = "memory"
    """The body went over its `memory_bytes_max`."""
    LOST = "lost"
    """The Sandbox ended under it (signal, exit, host), or the database under its transaction."""
    UNREADABLE = "unreadable"
    """A result that can't be pickled, or an argument that can't be read in the Sandbox."""
    MISUSE = "misuse"
    """The body broke a rule of workflows (a Ref used as a value, a foreign awaitable, a limit)."""
    DIVERGED = "diverged"
    """A replayed body made another call than the recorded one."""
    UNLOADABLE = "unloadable"
    """No Sandbox can be made for its code: the author's module is gone, or can't be imported."""
    CANCELLED = "cancelled"
    """Its Run or its body was cancelled or has failed."""


class Failure(Struct, frozen=True, gc=False, array_like=True, tag_field="is", tag=1):
    """A final or a retried failure.

    Attributes:
        reason: what kind it is.
        type: qualified name of the error's class, for people.
        message: its text, bounded.
        traceback: the author's frames only, bounded.
        origin: the Step (or item) it came from; passed on unchanged to Steps that depended on it.
        attempt: number of the Attempt that failed, from 1.
        attempts: how many Attempts the policy allowed.
        error: the pickled error; None where it can't be rebuilt.
    """

    reason: Reason
    type: str
    message: str
    traceback: str = ""
    origin: StepId = StepId("")
    attempt: int = 1
    attempts: int = 1
    error: Data | None = None


class Success(Struct, frozen=True, gc=False, array_like=True, tag_field="is", tag=0):
    """The value a Step yielded. Only the answers of bodies have Refs in them."""

    value: Payload


ITEMS_SHOWN = 8
"""The preview of a Batch of a map's items has the results of so many at most."""


class Ran(Struct, frozen=True, gc=False, array_like=True):
    """Where and when an Attempt (or one Batch of a map's items) ran.

    Attributes:
        sandbox: number of the Sandbox.
        entered_at: seconds since the epoch when the body was entered.
        left_at: seconds since the epoch when it was left.
        preview: JSON or `repr` of the result, bounded, for people.
    """

    sandbox: int = 0
    entered_at: float = 0.0
    left_at: float = 0.0
    preview: str = ""


class Moved(Struct, frozen=True, gc=False, array_like=True):
    """What an Attempt (or one Batch of a map's items) moved in Objects, and what clients it shared; for people only.

    Attributes:
        read_bytes, read_s: Objects that it took, and how long it was kept by getting at their bytes, in seconds.
        written_bytes, written_s: Objects that it made, and how long that kept it, in seconds.
        clients: of `weftrun.shared` in its process since the last one told: how many were made, used again, failed to
            be made, were given up, and closed; empty where nothing was.
    """

    read_bytes: int = 0
    read_s: float = 0.0
    written_bytes: int = 0
    written_s: float = 0.0
    clients: tuple[int, ...] = ()


class Outcome(Struct, frozen=True, gc=False, array_like=True):
    """How one Invocation ended, as the Sandbox says it and the machine of its Run takes it.

    Attributes:
        step: the machine's index of the Step.
        attempt: number of the Attempt; of a rollback, of its own try.
        value, failure: one of them is set.
        ran: where and when.
        undoes: the Attempt that it undid, where it was a rollback; else 0.
        emits: what it has emitted.
        index: position in its Batch.
        text: what it printed.
        note: what the story is to tell of the Attempt; mostly nothing.
        moved: what it moved in Objects, where that is anything.
    """

    step: int
    attempt: int
    value: Data | None
    failure: Failure | None
    ran: Ran
    undoes: int = 0
    emits: tuple[Emit, ...] = ()
    index: int = 0
    text: str = ""
    note: str = ""
    moved: Moved | None = None


NOT_RUN = Ran()
