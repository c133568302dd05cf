"""Where the author's code runs now: in a Step, in a workflow's body, or outside."""

from __future__ import annotations

import random as _random
import sys
import threading
import time
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, StepId, effect_key

if TYPE_CHECKING:
    from weftrun.sdk.recorder import Recorder


class Log:
    """Writes lines with a time and a level to what is kept of the Attempt's output."""

    __slots__ = ()

    def debug(self, message: str, *args: object) -> None:
        """Write a line of level DEBUG; `args` are put in by `%`, as in the standard library's logging."""
        self._write("DEBUG", message, args)

    def info(self, message: str, *args: object) -> None:
        """Write a line of level INFO."""
        self._write("INFO", message, args)

    def warning(self, message: str, *args: object) -> None:
        """Write a line of level WARNING."""
        self._write("WARNING", message, args)

    def error(self, message: str, *args: object) -> None:
        """Write a line of level ERROR."""
        self._write("ERROR", message, args)

    def _write(self, level: str, message: str, args: tuple[object, ...]) -> None:
        text = message % args if args else message
        stamp = time.strftime("%H:%M:%S")  # noqa: TID251  # the author's own time, in the author's own process
        sys.stderr.write(f"{stamp} {level:<7} {text}\n")


_LOG = Log()


class Current:
    """The Attempt that runs now.

    Attributes:
        run_id: id of its Run; `local` outside an engine.
        run_uid: uid of its Run.
        step_id: id of its Step; in a map, of its item.
        attempt: number of the Attempt, from 1.
    """

    __slots__ = ("attempt", "run_id", "run_uid", "step_id")

    def __init__(self, run_id: RunId, run_uid: RunUid, step_id: StepId, attempt: int) -> None:
        self.run_id = run_id
        self.run_uid = run_uid
        self.step_id = step_id
        self.attempt = attempt

    @property
    def key(self) -> str:
        """Idempotency key of the Step: the same for all its Attempts, and for nothing else."""
        return effect_key(self.run_uid, self.step_id)

    @property
    def log(self) -> Log:
        """Writes to what is kept of the Attempt's output."""
        return _LOG


_current: ContextVar[Current | None] = ContextVar("weftrun_current", default=None)


def enter(current: Current) -> Token[Current | None]:
    """Say what runs from now on in this context."""
    return _current.set(current)


def leave(token: Token[Current | None]) -> None:
    """Take back an `enter`."""
    _current.reset(token)


def current() -> Current:
    """Return the Attempt that runs now.

    Raises:
        UsageError: nothing runs: this is neither the body of a Function nor of a workflow.
    """
    found = _current.get()
    if found is None:
        raise UsageError("weftrun.current() was called outside the body of a Function or a workflow.")
    return found


class Here(threading.local):
    """Which body records the calls made in this thread.

    Attributes:
        recorder: None outside bodies, and inside the body of a Function.
        importing: file that a Sandbox is importing now.
    """

    recorder: Recorder | None = None
    importing: str = ""


here = Here()


def now() -> float:
    """Return the time, in seconds since the epoch.

    In an async workflow it is the time of the last outcome that the body observed, so that a replay sees it again.
    """
    recorder = here.recorder
    return recorder.now if recorder is not None else time.time()  # noqa: TID251  # outside bodies nothing is replayed


def random() -> _random.Random:
    """Return a generator. In a workflow's body it is seeded by the Run and the Step, so that a replay draws the same."""
    recorder = here.recorder
    return recorder.random if recorder is not None else _random.Random()
