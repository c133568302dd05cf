"""Where the author's code runs now: in a Step, in a workflow's body, or outside. Nothing is run or recorded here."""

from __future__ import annotations

import importlib
import sys
import threading
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Protocol

from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, StepId, effect_key
from weftrun.sdk import clock
from weftrun.sdk.transaction import NOT_SAID, Opener, Transaction

if TYPE_CHECKING:
    from random import Random

    from weftrun.sdk.recorder import Calls


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
        sys.stderr.write(f"{clock.time_of_day()} {level:<7} {text}\n")


_LOG = Log()


class Current:
    """The Attempt that runs now.

    Attributes:
        run_id: id of its Run; `local` outside an engine.
        run_uid: uid of its Run.
        step_id: id of its Step; in a map, of its item.
        attempt: number of the Attempt, from 1.
    """

    __slots__ = ("_open", "attempt", "run_id", "run_uid", "step_id")

    def __init__(self, run_id: RunId, run_uid: RunUid, step_id: StepId, attempt: int, open: Opener = NOT_SAID) -> None:
        self.run_id = run_id
        self.run_uid = run_uid
        self.step_id = step_id
        self.attempt = attempt
        self._open = open

    @property
    def key(self) -> str:
        """Idempotency key of the Step: the same for all its Attempts, and for nothing else."""
        return effect_key(self.run_uid, self.step_id)

    @property
    def log(self) -> Log:
        """Writes to what is kept of the Attempt's output."""
        return _LOG

    def transaction(self) -> Transaction:
        """Return the transaction of this Step, to be entered by `with`: what it does commits with the Step's record.

        Raises:
            UsageError: this is no Function with `effects="transaction"`, or a run without a Journal.
        """
        return self._open()


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
    """

    recorder: Calls | None = None


here = Here()


class Importing(Protocol):
    """Which file of an author this process is importing.

    Attributes:
        file: its path or its module's name; empty when nothing is being imported.
        by: who imports it.
    """

    file: str
    by: str


class _Importing:
    file = ""
    by = "a Sandbox"


importing: Importing = _Importing()


def now() -> float:
    """Return the time, in seconds since the epoch.

    In an async workflow it is the time of the last outcome that the body observed, so that a replay sees it again.
    """
    recorder = here.recorder
    return recorder.now if recorder is not None else clock.seconds()


def random() -> Random:
    """Return a generator; in a workflow's body one seeded by the Run and the Step, so that a replay draws the same."""
    recorder = here.recorder
    return recorder.random if recorder is not None else seeded(None)


def seeded(seed: str | None) -> Random:
    """Return a generator seeded by a text, or by the system where there is none."""
    module = importlib.import_module("random")  # late: few authors need it, and importing weftrun should be quick
    made: Random = module.Random(seed)
    return made
