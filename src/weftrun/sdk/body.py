"""Driving a workflow's body: entering it, resuming it with outcomes, seeing what it waits for or returns.

Used by the guest, by plain local calls and by the simulator. There is no event loop: an async body is a coroutine that
waits for Refs of its own and nothing else, so that it does the same in every replay.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Coroutine
from typing import Any

from msgspec import Struct

from weftrun.model.errors import UsageError
from weftrun.model.graph import NO_PAST, BodyPast, SignalType
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.policy import Kind
from weftrun.model.telling import text_of
from weftrun.sdk.callee import Callee
from weftrun.sdk.chain import is_of, trace_of
from weftrun.sdk.codec import Encoded
from weftrun.sdk.either import Either
from weftrun.sdk.inspection import preview
from weftrun.sdk.place import Current, enter, here, leave
from weftrun.sdk.recorder import BodyHost, BodyLimits, Called, Closed, Recorder
from weftrun.sdk.ref import Ref, own
from weftrun.sdk.transaction import IN_A_BODY

_ONLY_REFS = (
    "it may await only Refs (`await f.step(...)`) and its own coroutines, so that a replay does the same. "
    "Do other waiting inside a Function."
)
_LOOPS = ("asyncio", "anyio", "sniffio", "trio", "uvloop")
_SHOWN_BYTES = 200

Resume = Callable[[Coroutine[Any, Any, Any]], object]
"""Lets a coroutine go on; returns what it waits for next."""

__all__ = ["BodyEntry", "BodyHost", "BodyLimits", "Raised", "Returned", "Waiting"]


class Waiting(Struct, frozen=True):
    """The body waits for any of these calls."""

    awaits: tuple[int, ...]


class Returned:
    """The body returned an answer; its Refs are of this body."""

    __slots__ = ("answer",)

    def __init__(self, answer: Encoded) -> None:
        self.answer = answer


class Raised:
    """The body raised."""

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error = error


class BodyEntry:
    """One entry of a workflow's body.

    Args:
        function: a Workflow.
        started_at: what `weftrun.now()` says until something was observed, in seconds since the epoch.
        host: where its calls go.
        past: what is on record of it.
    """

    def __init__(
        self,
        function: Callee,
        *,
        run_id: RunId,
        run_uid: RunUid,
        step_id: StepId,
        attempt: int,
        started_at: float,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        host: BodyHost,
        limits: BodyLimits,
        past: BodyPast = NO_PAST,
        trace: str = "",
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._current = Current(run_id, run_uid, step_id, attempt, IN_A_BODY)
        self._current.trace = trace
        self._recorder = Recorder(function, run_id, run_uid, step_id, started_at, host, limits, past)
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._awaited: Ref[Any] | Either | None = None
        self._outcomes: dict[int, tuple[Any, BaseException | None]] = {}
        self._undoes = False
        self._settles = False

    def enter(self) -> Waiting | Returned | Raised:
        """Run the body until it waits or ends."""
        if self._function.spec.kind is Kind.WIRING:
            return self._turn(self._wire)
        return self._turn(self._begin)

    def deliver(
        self, call: int, *, value: object = None, error: BaseException | None = None, at: float
    ) -> Waiting | Returned | Raised:
        """Resume the body with the outcome of a call that it waits for, which settled at `at`."""
        self._outcomes[call] = (value, error)
        self._recorder.now = max(self._recorder.now, at)
        return self._turn(self._resume)

    def undo(self, error: BaseException) -> Waiting | Returned | Raised:
        """Give the body up where it waits, because of an error, and undo what it has called and can be undone.

        Its `finally` blocks run; what they call is refused.
        """
        self.drop()
        self._undoes = True

        def begin() -> Waiting | Returned:
            saga = _saga()
            calls = [saga.Undoable(*call) for call in self._recorder.undoable]
            return self._go_on_with(saga.undo(error, calls))

        return self._turn(begin)

    @property
    def undoable(self) -> tuple[int, ...]:
        """Numbers of its calls that it can undo."""
        return tuple(call[3]._number for call in self._recorder.undoable)

    @property
    def takes(self) -> tuple[SignalType, ...]:
        """Of which types it has awaited signals."""
        return tuple(self._recorder.takes)

    def called(self, position: int) -> Called:
        """Return the Function, or the wait, at a place of the table that calls name it by."""
        return self._recorder.table[position]

    @property
    def now(self) -> float:
        """What `weftrun.now()` says in it."""
        return self._recorder.now

    def drop(self) -> None:
        """Forget the body: its coroutine is closed; what it calls while closing is refused."""
        coroutine, self._coroutine = self._coroutine, None
        if coroutine is None:
            return
        before, here.recorder = here.recorder, Closed(self._recorder)
        token = enter(self._current)
        try:
            coroutine.close()
        except BaseException:  # noqa: BLE001  # the author's `finally` may raise anything, and nobody waits for it
            pass
        finally:
            leave(token)
            here.recorder = before

    def _turn(self, drive: Callable[[], Waiting | Returned]) -> Waiting | Returned | Raised:
        before, here.recorder = here.recorder, self._recorder
        token = enter(self._current)
        try:
            step: Waiting | Returned | Raised = self._driven(drive)
        except BaseException as error:  # noqa: BLE001  # this is where the author's code runs
            step = Raised(_explained(error, self._function.spec.label))
        finally:
            leave(token)
            here.recorder = before
        self._recorder.flush()
        return step

    def _driven(self, drive: Callable[[], Waiting | Returned]) -> Waiting | Returned:
        """Run the body; where it fails, and has called what is to be undone then, go on with that."""
        try:
            return drive()
        except Exception as error:  # the author's body raised it; raised again when its calls are undone
            calls = self._recorder.undoable
            if not calls or self._undoes:
                raise
            self._undoes = True
            saga = _saga()
            explained = _explained(error, self._function.spec.label)
            undo = saga.undo(explained, [saga.Undoable(*call) for call in calls])
        return self._go_on_with(undo)

    def _go_on_with(self, coroutine: Coroutine[Any, Any, Any]) -> Waiting | Returned:
        self._coroutine = coroutine
        return self._run(lambda begun: begun.send(None))

    def _ended(self, answer: Any) -> Waiting | Returned:
        """The body has returned: at once, or, where something would be undone, when all Steps have settled."""
        if self._recorder.undoable and not self._settles:
            self._settles = True
            return self._go_on_with(_saga().settle_all(answer, self._recorder.left(self._outcomes)))
        return Returned(self._recorder.answer(answer))

    def _wire(self) -> Returned:
        return Returned(self._recorder.answer(self._function.callable(*self._args, **self._kwargs)))

    def _begin(self) -> Waiting | Returned:
        self._coroutine = self._function.callable(*self._args, **self._kwargs)
        return self._run(lambda coroutine: coroutine.send(None))

    def _resume(self) -> Waiting | Returned:
        awaited = self._awaited
        resume = self._known(awaited) if awaited is not None else None
        if resume is None:
            raise UsageError(f"the body of {self._current.step_id} got an outcome that it does not wait for")
        return self._run(resume)

    def _known(self, awaited: Ref[Any] | Either) -> Resume | None:
        """Return what resumes the coroutine that waits for this; None where nothing of it is known yet."""
        if type(awaited) is not Either:
            return (lambda coroutine: self._hand(coroutine, awaited)) if awaited._number in self._outcomes else None
        for ref in awaited.refs:
            if (number := ref._number) in self._outcomes:
                return lambda coroutine: coroutine.send(number)
        return None

    def _hand(self, coroutine: Coroutine[Any, Any, Any], ref: Ref[Any]) -> object:
        """Resume the coroutine with the value or the error of a Ref."""
        value, error = self._outcomes[ref._number]
        if error is None:
            try:
                for key in ref._path:
                    value = value[key]
            except (LookupError, TypeError) as wrong:
                error = wrong
        return coroutine.throw(error) if error is not None else coroutine.send(value)

    def _run(self, resume: Resume) -> Waiting | Returned:
        """Drive the coroutine until it waits for an outcome that is not here yet, or returns."""
        coroutine = self._coroutine
        assert coroutine is not None
        while True:
            is_over, wanted = _resumed(coroutine, resume)
            if is_over:
                return self._ended(wanted)
            try:
                awaited = self._check(wanted)
            except UsageError as refusal:
                resume = _thrower(refusal)
                continue
            self._awaited = awaited
            known = self._known(awaited)
            if known is None:
                refs = awaited.refs if type(awaited) is Either else (awaited,)
                return Waiting(tuple(dict.fromkeys(ref._number for ref in refs)))
            resume = known

    def _check(self, wanted: object) -> Ref[Any] | Either:
        if type(wanted) is Either:
            for ref in wanted.refs:
                own(ref, self._recorder)
            return wanted
        if not isinstance(wanted, Ref):
            raise UsageError(
                f"The async workflow {self._function.spec.label} awaited {preview(wanted, _SHOWN_BYTES)}: " + _ONLY_REFS
            )
        own(wanted, self._recorder)
        return wanted


def _resumed(coroutine: Coroutine[Any, Any, Any], resume: Resume) -> tuple[bool, Any]:
    """Let a coroutine go on; return whether it has ended, and what it returned or waits for."""
    try:
        return False, resume(coroutine)
    except StopIteration as stop:
        return True, stop.value


def _saga() -> Any:
    return importlib.import_module("weftrun.sdk.saga")  # late: few workflows undo anything


def _thrower(error: BaseException) -> Resume:
    return lambda coroutine: coroutine.throw(error)


def _explained(error: BaseException, label: str) -> BaseException:
    """Say what a call of an event loop's library means in a workflow's body, where no loop runs."""
    if not is_of(error, RuntimeError) and not is_of(error, AttributeError):
        return error
    if "event loop" not in text_of(error) and not _came_from_a_loop(error):
        return error
    refusal = UsageError(f"The async workflow {label} awaited something of asyncio: {_ONLY_REFS}")
    refusal.__cause__ = error
    return refusal.with_traceback(trace_of(error))


def _came_from_a_loop(error: BaseException) -> bool:
    """Say whether the code that raised an error is that of an event loop's library."""
    trace = trace_of(error)
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace is not None else ""
    return str(module).partition(".")[0] in _LOOPS
