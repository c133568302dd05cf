"""Replaying a Run against the code of this process, without an engine: what it would do after a deploy.

The machine of the Run decides, as it does in an engine; bodies of `async` workflows are entered here and told what
is on record. Nothing is written and no Function is run: a body that comes to a call without a record waits for ever.
The values of the Run are unpickled, so this belongs into a process that has imported the app, and never into an engine.
"""

from __future__ import annotations

import contextlib
import io
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from weftrun.machines.run import RunMachine
from weftrun.model.commands import Deliver, EnterBody, Invoke, InvokeItems, LeaveBody
from weftrun.model.errors import UsageError
from weftrun.model.events import BodyMade, BodyReturned, CodeUnfit, Handed, Resumed, RunEvent
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import NOT_RUN, Failure, Reason
from weftrun.model.policy import FunctionSpec, Kind
from weftrun.model.records import Ended, Graphed, Record, Row, Started
from weftrun.model.values import Data, Inline, Payload, RefTo
from weftrun.runtime.runs import unfit
from weftrun.sdk.body import BodyEntry, BodyLimits, Raised, Returned, Waiting
from weftrun.sdk.codec import Encoded, decode_tree
from weftrun.sdk.failure import error_of, failure_of
from weftrun.sdk.function import Function, find
from weftrun.sdk.registry import known

BODY_S = 10.0
"""A body that is replayed may go on for so long without an await, in seconds, where its workflow says nothing else."""


class Replayed(Struct, frozen=True):
    """What became of a Run that was replayed.

    Attributes:
        id: of the Run.
        status: of the Run, as it is recorded.
        fits: whether the code does what is on record.
        why: what does not fit, as a sentence.
        then: what the Run would be after a deploy of this code, where it does not fit: `parked` or `failed`.
        recorded, made: the call on record, and the one that the code makes in its place.
        calls: how many calls of `async` bodies the code made again.
    """

    id: RunId
    function: str
    status: str
    fits: bool
    why: str = ""
    then: str = ""
    recorded: str = ""
    made: str = ""
    calls: int = 0


def replay(
    uid: RunUid, rows: Sequence[Row], handed: Sequence[Handed], read: Callable[[Data], bytes | memoryview]
) -> Replayed:
    """Replay a Run with the code that this process has imported, and say whether it fits.

    Args:
        rows: all of the Run, which may have ended: then the body of its workflow is held against all that it did.
        handed: what the trace tells of calls that had been handed to a Worker.
        read: returns the bytes of a recorded value.
    """
    started = rows[0].records[0]
    assert isinstance(started, Started)
    last = rows[-1].records[-1]
    ended = last if isinstance(last, Ended) else None
    status = ended.status if ended is not None else "running"
    answer = Replayed(started.id, started.function.name, status, fits=True)
    if (missing := _misfit(started.function)) is not None:
        return replace(answer, fits=False, then="parked", why=missing)
    if started.function.kind is Kind.FUNCTION:
        return answer
    return _Replay(uid, _open_again(rows, started) if ended is not None else rows, started, ended, read).run(
        answer, handed
    )


def _open_again(rows: Sequence[Row], started: Started) -> list[Row]:
    """Return the rows of an ended Run without its end, and without that its `async` body had ended with calls open."""
    root = StepId(started.function.label)
    watches = started.function.kind is Kind.WATCHING

    def stands(record: Record) -> bool:
        is_its_end = watches and isinstance(record, Graphed) and record.step == root
        return not isinstance(record, Ended) and not is_its_end

    found = [replace(row, records=tuple(record for record in row.records if stands(record))) for row in rows]
    return [row for row in found if row.records]


def _misfit(recorded: FunctionSpec) -> str | None:
    """Return why this process can't run a Function of a Run."""
    here = known(recorded.name)
    if here is None:
        return f"the code has no {recorded.name} any more; a Function that was renamed keeps name={recorded.name!r}"
    if here.spec.kind is not recorded.kind:
        return f"{recorded.name} is {_KINDS[here.spec.kind]} now, and the Run has it as {_KINDS[recorded.kind]}"
    return None


_KINDS = {Kind.FUNCTION: "a Function", Kind.WIRING: "a `def` workflow", Kind.WATCHING: "an `async def` workflow"}


class _Body:
    """A body that is replayed: what it makes is kept until its turn ends (`sdk.body.BodyHost`)."""

    def __init__(self, command: EnterBody) -> None:
        self.command = command
        self.functions: tuple[FunctionSpec, ...] = ()
        self.calls: tuple[Call, ...] = ()
        self.chunks: tuple[Chunk, ...] = ()
        self.entry: BodyEntry | None = None
        self.reading = True
        self.limit_s = BODY_S

    def data(self, encoded: Encoded) -> Data:
        """Keep an encoded value."""
        return Inline(encoded.tobytes())

    def made(self, functions: tuple[FunctionSpec, ...], calls: tuple[Call, ...], chunks: tuple[Chunk, ...]) -> None:
        """Take what the body made."""
        self.functions += functions
        self.calls += calls
        self.chunks += chunks

    def told(self, now: float, awaits: tuple[int, ...]) -> BodyMade:
        """Return the event that tells what it made since the last time."""
        made = BodyMade(
            now, self.command.step, self.command.attempt, self.functions, self.calls, self.chunks, awaits
        )  # fmt: skip
        self.functions, self.calls, self.chunks = (), (), ()
        return made


class _Replay:
    """One Run that is replayed."""

    def __init__(
        self, uid: RunUid, rows: Sequence[Row], started: Started, ended: Ended | None, read: Callable[[Data], Any]
    ) -> None:
        self._uid = uid
        self._started = started
        self._ended = ended
        self._read = read
        self._now = rows[-1].at
        self._machine = RunMachine.resume(0, uid, rows, DEFAULT_LIMITS)
        self._bodies: dict[int, _Body] = {}
        self._events: deque[RunEvent] = deque()
        self._missing = ""
        self._left: Failure | None = None
        self._calls = 0

    def run(self, answer: Replayed, handed: Sequence[Handed]) -> Replayed:
        """Let it go on as far as its records lead."""
        self._events.append(Resumed(self._now, is_other_code=True, handed=tuple(handed)))
        with _silent():
            while self._events and self._machine.state.unfit is None and not self._missing:
                for command in self._machine.handle(self._events.popleft()):
                    self._take(command)
            for body in self._bodies.values():
                if body.entry is not None:
                    body.entry.drop()
        answer = replace(answer, calls=self._calls)
        does_not_fit = self._machine.state.unfit
        if does_not_fit is not None:
            why = does_not_fit.failure.message
            if does_not_fit.failure.reason is not Reason.DIVERGED:
                why = f"{does_not_fit.failure.type}: {why}"
            recorded, made = does_not_fit.recorded, does_not_fit.made
            return replace(answer, fits=False, then="parked", why=why, recorded=recorded, made=made)
        if self._missing:
            return replace(answer, fits=False, then="parked", why=self._missing)
        return self._with_end(answer)

    def _with_end(self, answer: Replayed) -> Replayed:
        """Hold how the workflow's body ended against how it had ended before."""
        left = self._left
        if left is None:
            return answer
        now = f"{left.type}: {left.message}"
        if self._ended is None:
            return replace(answer, fits=False, then="failed", why=f"it would fail by {now}")
        if self._ended.status == "succeeded":
            return replace(answer, fits=False, then="failed", why=f"it had succeeded, and would fail by {now}")
        return answer

    def _take(self, command: object) -> None:
        match command:
            case EnterBody() if command.function.kind is Kind.WATCHING:
                body = self._bodies[command.step] = _Body(command)
                self._turn(body, lambda: self._enter(body))
            case Deliver() if command.step in self._bodies:
                body = self._bodies[command.step]
                self._turn(body, lambda: self._deliver(body, command))
            case LeaveBody():
                self._bodies.pop(command.step, None)
            case Invoke() | InvokeItems() if (missing := _misfit(command.function)) is not None:
                self._missing = missing
            case _:
                pass

    def _enter(self, body: _Body) -> Waiting | Returned | Raised:
        command = body.command
        function: Function[..., Any] = find(command.function.name)
        if (wrong := _misfit(command.function)) is not None:
            raise UsageError(wrong)
        args, kwargs = decode_tree(command.args, self._read)
        function.signature.check(args, kwargs)
        body.reading = False
        body.entry = BodyEntry(
            function, run_id=self._started.id, run_uid=self._uid, step_id=command.id, attempt=command.attempt,
            started_at=command.started_at, args=args, kwargs=kwargs, host=body, limits=BodyLimits(),
            past=command.past,
        )  # fmt: skip
        body.limit_s = function.spec.timeout_s or BODY_S
        with _bounded(body.limit_s, command.id):
            return body.entry.enter()

    def _deliver(self, body: _Body, command: Deliver) -> Waiting | Returned | Raised:
        entry = body.entry
        assert entry is not None
        value, error = None, None
        if command.failure is not None:
            error = error_of(command.failure, run=self._started.id)
        else:
            body.reading = True
            value = decode_tree(command.value, self._read) if command.value is not None else None
            body.reading = False
        with _bounded(body.limit_s, body.command.id):
            return entry.deliver(command.call, value=value, error=error, at=command.at)

    def _turn(self, body: _Body, drive: Callable[[], Waiting | Returned | Raised]) -> None:
        command = body.command
        try:
            came = drive()
        except BaseException as error:  # noqa: BLE001  # the author's code is found, their values read, their body run
            came = Raised(error)
        self._calls += len(body.calls)
        if isinstance(came, Waiting):
            self._events.append(body.told(self._now, came.awaits))
            return
        if body.functions or body.calls or body.chunks:
            self._events.append(body.told(self._now, ()))
        answer: Payload | None = None
        failure: Failure | None = None
        if isinstance(came, Returned):
            refs = tuple(RefTo(ref._number, ref._path) for ref in came.answer.refs)
            answer = Payload(body.data(came.answer), refs)
        else:
            failure = self._failure(body, came.error)
        event = BodyReturned(self._now, command.step, command.attempt, answer, failure, NOT_RUN)
        if failure is not None and (wrong := unfit(event)) is not None:
            self._events.append(CodeUnfit(self._now, wrong))
            return
        if command.step == 0:
            self._left = failure
        self._events.append(event)

    def _failure(self, body: _Body, error: BaseException) -> Failure:
        if isinstance(error, _TooLong):
            return Failure(Reason.TIMEOUT, "StepTimedOut", str(error), origin=body.command.id)
        return failure_of(
            error,
            origin=StepId("") if body.reading else body.command.id,
            attempt=body.command.attempt,
            attempts=1,
            bytes_max=DEFAULT_LIMITS.error_text_bytes_max,
            reason=Reason.UNREADABLE if body.reading else None,
            run=self._started.id,
        )


class _TooLong(BaseException):
    """A body went on for too long; none of its own `except Exception` is to catch that."""


@contextlib.contextmanager
def _bounded(limit_s: float, step: StepId) -> Iterator[None]:
    """End a body that goes on for longer without an await, where that can be seen: in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(_number: int, _frame: FrameType | None) -> None:
        raise _TooLong(f"the body of {step} went on for more than {limit_s:g} s without an await")

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Let what bodies print go nowhere: they had printed it before."""
    nowhere = io.StringIO()
    with contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
        yield
    sys.stdout.flush()
