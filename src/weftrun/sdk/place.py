"""Where the author's code runs now: in a Step, in a workflow's body, or outside. Nothing is run or recorded here."""

from __future__ import annotations

import importlib
import sys
import threading
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from weftrun.model.emits import Emit, emit_key
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunId, RunUid, StepId, effect_key
from weftrun.sdk import clock
from weftrun.sdk.emits import EmitBounds, Emits
from weftrun.sdk.transaction import NOT_SAID, Opener, Transaction

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from random import Random

    from weftrun.model.policy import FunctionSpec
    from weftrun.sdk.callee import Callee
    from weftrun.sdk.codec import Encoded
    from weftrun.sdk.near_key import NearKey
    from weftrun.sdk.outputs import Outputs
    from weftrun.sdk.ref import Ref


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
LOCAL_RUN = RunId("local")
LOCAL_UID = RunUid("0" * 32)
"""Names of a Run outside of an engine."""
_BOUNDS = EmitBounds()
_NOTES_MAX = 20
_TRACE_ID = 32
_NOTE_CHARACTERS = 500


class Current:
    """The Attempt that runs now.

    Attributes:
        run_id: id of its Run; `local` outside an engine.
        run_uid: uid of its Run.
        trace: id of the trace that its Run belongs to, or a whole `traceparent`; empty where nobody traces.
        attempt: number of the Attempt, from 1.
    """

    __slots__ = (
        "_bounds", "_emits", "_near", "_notes", "_open", "_outputs", "_step", "attempt", "run_id", "run_uid", "trace",
    )  # fmt: skip

    def __init__(
        self, run_id: RunId, run_uid: RunUid, step_id: StepId, attempt: int, open: Opener = NOT_SAID,
        bounds: EmitBounds = _BOUNDS, outputs: Outputs | None = None,
    ) -> None:  # fmt: skip
        self._bounds = bounds
        self._outputs = outputs
        self._emits: Emits | None = None
        self._notes: list[str] = []
        self._near: NearKey | None = None
        self.run_id = run_id
        self.run_uid = run_uid
        self.trace = ""
        self._step = step_id
        self.attempt = attempt
        self._open = open

    @property
    def step_id(self) -> StepId:
        """Id of its Step; in a map, of its item."""
        return self._step

    @property
    def key(self) -> str:
        """Idempotency key of the Step: the same for all its Attempts, and for nothing else."""
        return effect_key(self.run_uid, self.step_id)

    @property
    def traceparent(self) -> str:
        """What to send along as the header `traceparent` (W3C Trace Context), so that the trace of the Run goes on.

        It names the span of this Attempt; in an item of a map that of the Run. Empty where nobody traces.
        """
        if len(self.trace) != _TRACE_ID:
            return self.trace
        spans = importlib.import_module("weftrun.model.spans")  # late: few programs trace
        told: str = spans.traceparent_of(self.trace, self._span(spans))
        return told

    def _span(self, spans: Any) -> str:
        span: str = spans.span_of_attempt(self.run_uid, self.step_id, self.attempt)
        return span

    @property
    def due(self) -> datetime | None:
        """The time for which a schedule has started the Run, in UTC; None where none has."""
        schedules = importlib.import_module("weftrun.model.schedules")  # late: few Runs are of a schedule
        found: datetime | None = schedules.due_of(self.run_id)
        return found

    @property
    def near(self) -> NearKey:
        """The key that the Function is near, of its `near=`: to be read, and written once.

        Raises:
            UsageError: it is near none.
        """
        if self._near is None:
            raise UsageError(f"current().near in {self.step_id}: it is near no key. Say which: @function(near=...).")
        return self._near

    def is_near(self, key: NearKey | None) -> NearKey | None:
        """Say which key it is near from now on; return which one it was near before. Called by `sdk.near`."""
        before, self._near = self._near, key
        return before

    @property
    def notes(self) -> tuple[str, ...]:
        """What `note` was told so far."""
        return tuple(self._notes)

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

    def note(self, sentence: str) -> None:
        """Let the story of the Run tell a sentence of this Attempt, if it succeeds; what items of a map note is lost.

        Args:
            sentence: up to 500 characters of it are kept, of up to 20 notes.
        """
        if len(self._notes) < _NOTES_MAX:
            self._notes.append(sentence[:_NOTE_CHARACTERS])

    def put(self, name: str, value: T, *, durable: bool = False) -> T:
        """Give an output of this Step before its body ends: whoever reads it may start at once (S1).

        The value stands if and only if this Attempt succeeds. If it fails, readers that had started are stopped, and
        start again with what the next Attempt puts; nobody outside has seen them run, since a reader that does
        something outside (`effects="visible"`) waits until this Step has ended and its record is durable.

        Args:
            name: one of those that the decorator declares: `@function(outputs={name: type})`. Each is put once.
            value: anything that can be pickled. What the body changes in it later is not seen by readers.
            durable: whether the value is recorded now, and stands for all Attempts of the Step (S2): readers with
                effects may use it before the Step has ended, and one that is tried again is given what stands.

        Returns:
            The value; of a `durable` one the value that stands, which an earlier Attempt may have put. The call then
            returns when that is on the disk.

        Raises:
            LimitExceeded: a `durable` value is too large for a record (64 KiB).
            NotSerializable: the value can't be pickled.
            UsageError: there is no such output, it was put before, or this is the body of a workflow, or an item of a
                map.
        """
        if here.recorder is not None:
            raise UsageError(
                f"current().put({name!r}) in the body of {self.step_id}, a workflow: it hands on Refs of the calls "
                "that it makes. Put outputs in a Function."
            )
        if self._outputs is None:
            raise UsageError(
                f"current().put({name!r}) in {self.step_id}: it has no outputs. Declare them on the decorator of a "
                f"Function: outputs={{{name!r}: type}}."
            )
        return cast("T", self._outputs.put(name, value, durable=durable))

    def emit(self, sink: str, payload: object, order_by: str | None = None) -> str:
        """Let a sink be told once, if and only if this Attempt's outcome becomes the Step's (E1).

        It is written into the record of the outcome, and delivered after that is durable. If the Attempt fails, nothing
        was emitted. The engine that delivers it knows the sink by its name: `weftrun.open(sinks={name: ...})`.

        Args:
            sink: its name.
            payload: bytes, text, or what JSON can say.
            order_by: messages with the same text are delivered to the sink one after the other, in the order in which
                their records were committed; without it, in any order.

        Returns:
            The key by which the sink knows the message again, however often it is sent.

        Raises:
            NotSerializable: the payload is no JSON.
            LimitExceeded: it is too large, or one of too many.
            UsageError: this is the body of a workflow, which may be replayed, or a rollback.
        """
        if here.recorder is not None:
            raise UsageError(
                f"current().emit(...) in the body of {self.step_id}: the body of a workflow may be entered again, and "
                "what it did outside of Steps with it. Emit from a Function that it calls."
            )
        if self._emits is None:
            self._emits = Emits(self._bounds)
        emit = self._emits.add(sink, payload, order_by, self._item())
        return emit_key(self.run_uid, self.step_id, emit.n)

    def _item(self) -> int:
        return -1


_OVER = Emits(_BOUNDS)
_OVER.close()


_UNDOING = Emits(_BOUNDS)
_UNDOING.end(
    "current().emit(...) in a rollback: it has no outcome in whose record a message could stand. Emit from a Step."
)


def undoes(current: Current) -> None:
    """Say that what runs is a rollback."""
    current._emits = _UNDOING


def no_emits(current: Current, sentence: str) -> None:
    """Refuse with this sentence what is emitted in it."""
    current._emits = Emits(_BOUNDS)
    current._emits.end(sentence)


def emitted(current: Current) -> tuple[Emit, ...]:
    """Return what an Attempt has emitted, now that it has ended, and refuse what comes later, outputs too."""
    emits, current._emits = current._emits, _OVER
    if current._outputs is not None:
        current._outputs.end()
    return emits.close() if emits is not None else ()


def check_outputs(current: Current) -> None:
    """Check that a body that has returned has put all its outputs; raises `UsageError` where it has not."""
    if current._outputs is not None:
        current._outputs.check_all_put()


def noted(current: Current) -> str:
    """Return what an Attempt lets the story tell."""
    return " ".join(current._notes)


def outside(kept: list[Emit]) -> Current:
    """Return what runs in a test that calls Functions without an engine; what they emit goes into `kept`."""
    current = Current(LOCAL_RUN, LOCAL_UID, StepId("local"), 1)
    current._emits = Emits(_BOUNDS, kept)
    return current


_current: ContextVar[Current | None] = ContextVar("weftrun_current", default=None)


def enter(current: Current) -> Token[Current | None]:
    """Say what runs from now on in this context."""
    return _current.set(current)


def leave(token: Token[Current | None]) -> None:
    """Take back an `enter`."""
    _current.reset(token)


class Sandboxed:
    """Whether this process runs what an engine sends it.

    Attributes:
        serves: there a call in a thread of its own, in which nothing is known of the Attempt, is not taken for a run of
            its own: its `key` would be that of all others.
        shares: whether `weftrun.shared` shares what a factory makes.
        counted: what `weftrun.shared` did since it was asked last, where it did anything ever; see `Moved.clients`.
        asks: how the body that runs asks the engine, and its place in a Batch; for streams.
    """

    serves = False
    shares = True
    counted: Callable[[], tuple[int, ...]] | None = None
    asks: tuple[Any, int, int] | None = None


sandboxed = Sandboxed()


def nothing_runs() -> bool:
    """Say whether a Function that is called now is a run of its own, outside of every Step and engine."""
    return _current.get() is None and not sandboxed.serves


def current() -> Current:
    """Return the Attempt that runs now. A Function that is called by itself, outside an engine, is one, too.

    Raises:
        UsageError: nothing runs: this is neither the body of a Function nor of a workflow.
    """
    found = _current.get()
    if found is None:
        raise UsageError("weftrun.current() was called outside the body of a Function or a workflow.")
    return found


class BodyCalls(Protocol):
    """What Functions that are called inside a body turn to."""

    @property
    def now(self) -> float:
        """Time of the last outcome that the body observed, in seconds since the epoch."""

    @property
    def random(self) -> Random:
        """A generator seeded by the Run and the Step."""

    def call(
        self, function: Callee, args: tuple[Any, ...], kwargs: dict[str, Any], after: tuple[Ref[Any], ...], /
    ) -> Ref[Any]:
        """Take a call and return its Ref."""

    def map(
        self, function: Callee, columns: tuple[Any, ...], same: dict[str, Any], after: tuple[Ref[Any], ...], /
    ) -> Any:
        """Take a map and return its Ref."""

    def wait(
        self, spec: FunctionSpec, compared: tuple[Any, ...], value: Encoded | None = None, type: Any = Any, /
    ) -> Ref[Any]:
        """Take a wait for a time or a signal and return its Ref; what is `compared` is the same in every replay.

        `value` is what a timer yields, nothing if it is left out; `type` is what a signal is read as.
        """

    def join(self, spec: FunctionSpec, refs: tuple[Ref[Any], ...], value: Encoded, /) -> Ref[Any]:
        """Take a join of some of these calls, whose `value` has Refs of as many as it needs, and return its Ref."""

    def patched(self, spec: FunctionSpec, name: str, /, *, wanted: bool) -> bool:
        """Say whether the body takes the new code of a patch, which is noted by a call of `spec`."""


class Here(threading.local):
    """Which body records the calls made in this thread.

    Attributes:
        recorder: None outside bodies, and inside the body of a Function.
    """

    recorder: BodyCalls | None = None


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
