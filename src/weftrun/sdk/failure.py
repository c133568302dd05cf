"""Errors to Failures and back."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.errors import (
    LimitExceeded,
    NotSerializable,
    ReplayDiverged,
    RunCancelled,
    StepFailed,
    StepTimedOut,
    UsageError,
)
from weftrun.model.ids import RunId, StepId
from weftrun.model.limits import DEFAULT_LIMITS
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.telling import add_note, asked, bounded, name_of, notes_of, set_notes, text_of
from weftrun.model.values import Data, Inline
from weftrun.sdk.chain import is_of, not_rebuilt, pack, take_traces, trace_of, unpack
from weftrun.sdk.tracebacks import authors_traceback, skip_ours

IN_SANDBOX = "In the Sandbox:"
"""With it a note begins that has the traceback of where an error was raised, with all its causes."""
_READ_ONLY = "Values reach a Step read-only, because others may read the same memory: write to a copy, `x.copy()`."


class _Told(str):
    """A note that `error_of` put on an error: by it an error that passes through a body is known again."""

    __slots__ = ("failure", "run")
    failure: Failure
    run: RunId | None

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)


def failure_of(
    error: BaseException,
    *,
    origin: StepId,
    attempt: int,
    attempts: int,
    bytes_max: int,
    reason: Reason | None = None,
    run: RunId | None = None,
) -> Failure:
    """Return what is kept of an error that the author's code raised. Raises nothing, whatever the error does.

    Args:
        origin: the Step, or item, that raised it.
        attempts: how many Attempts the policy allows.
        bytes_max: bound for the message, the traceback and the pickled error, each.
        reason: None takes it from the error's type.
        run: of a body: an error that it was given by a Step of this Run, and let through, stays that Step's failure.
    """
    failure = asked(lambda: _passed_on(error, run, origin, bytes_max), None) if run is not None else None
    if failure is not None:
        return failure
    if _is_write_to_shared(error) and _READ_ONLY not in notes_of(error):
        add_note(error, _READ_ONLY)
    packed, why = _packed(error, bytes_max)
    why = f"{not_rebuilt(why)}\n" if why else ""
    return Failure(
        reason or reason_of(error),
        bounded(name_of(type(error)), bytes_max),
        asked(lambda: bounded(text_of(error), bytes_max), ""),
        asked(lambda: bounded(authors_traceback(error) + why, bytes_max), ""),
        origin,
        attempt,
        attempts,
        packed,
    )


def _is_write_to_shared(error: BaseException) -> bool:
    """Say whether a value's memory was to be written: the words are those of NumPy, of Cython and of Python itself."""
    return type(error) in (ValueError, TypeError) and text_of(error).endswith(("is read-only", "read-only memory"))


def _passed_on(error: BaseException, run: RunId, by: StepId, bytes_max: int) -> Failure | None:
    """Return the Failure that `error_of` made this error of, for a body of this Run that let it through."""
    told = [note for note in notes_of(error) if type(note) is _Told and note.run == run]
    if not told:
        return None
    passed = told[-1].failure
    text = f"{passed.traceback.rstrip()}\npassed on by {by}{_line_of(error)}"
    return replace(passed, traceback=bounded(text, bytes_max), error=_passed_error(error, passed, bytes_max))


def _passed_error(error: BaseException, passed: Failure, bytes_max: int) -> Data | None:
    """Return the encoding of an error that is passed on: with what the author has put on it, without our notes."""
    if passed.error is None or type(error) is StepFailed:
        return passed.error
    before = notes_of(error)
    set_notes(error, [note for note in before if type(note) is not _Told])
    try:
        packed, _ = _packed(error, bytes_max)
    finally:
        set_notes(error, before)
    return packed or passed.error


def _line_of(error: BaseException) -> str:
    """Return the author's line that an error came through first, in the way of a traceback."""
    trace = skip_ours(trace_of(error))
    return f', File "{trace.tb_frame.f_code.co_filename}", line {trace.tb_lineno}' if trace is not None else ""


def reason_of(error: BaseException) -> Reason:
    """Return what kind of failure it is that a body left with this error."""
    if is_of(error, MemoryError):
        return Reason.MEMORY
    if is_of(error, NotSerializable):
        return Reason.UNREADABLE
    if is_of(error, UsageError) or is_of(error, LimitExceeded):
        return Reason.MISUSE
    return Reason.RAISED


def _packed(error: BaseException, bytes_max: int) -> tuple[Inline | None, str]:
    """Return the encoding of an error, and why it can't be rebuilt, if it can't."""
    nothing: tuple[bytes | None, str] = (None, "its chain can't be read")
    packed, why = asked(lambda: pack(error, bytes_max), nothing)
    return (Inline(packed) if packed is not None else None), why


def error_of(failure: Failure, *, run: RunId | None) -> BaseException:
    """Return the error to raise for a Failure: of the author's type where it can be rebuilt, with a note on where.

    The note reads like `in count[3] of run books-1, attempt 2 of 3`, and the traceback in the Sandbox follows it.
    """
    made = _made(failure)
    error = _rebuilt(failure, made)
    where = f"in {failure.origin}" if failure.origin else "in a Step"
    run_name = f" of run {run}" if run else ""
    tries = f", attempt {failure.attempt} of {failure.attempts}" if failure.attempts > 1 else ""
    _tell(error, f"{where}{run_name}{tries}", failure, run)
    if failure.traceback and error is not made:
        _tell(error, IN_SANDBOX + "\n" + failure.traceback.rstrip(), failure, run)
    return error


def local_error(error: BaseException, step: StepId) -> BaseException:
    """Return the error to raise for one that left a Step of a local run: what an engine would give, traceback and all.

    An interrupt of whoever runs it stays what it is.
    """
    if is_of(error, KeyboardInterrupt) or any(type(note) is _Told for note in notes_of(error)):
        return error
    failure = failure_of(error, origin=step, attempt=1, attempts=1, bytes_max=DEFAULT_LIMITS.error_text_bytes_max)
    told = _rebuilt(failure, _made(failure))
    _tell(told, f"in {step} of a local run", failure, None)
    take_traces(told, error)
    return told


def came_from(error: BaseException, step: StepId, run: RunId) -> None:
    """Let an error that a body raises itself be known as that of one of its Steps, by the label of its call."""
    bytes_max = DEFAULT_LIMITS.error_text_bytes_max
    failure = failure_of(error, origin=step, attempt=1, attempts=1, bytes_max=bytes_max)
    _tell(error, f"in {step} of run {run}", failure, run)


def _tell(error: BaseException, text: str, failure: Failure, run: RunId | None) -> None:
    note = _Told(text)
    note.failure, note.run = failure, run
    add_note(error, note)


def _rebuilt(failure: Failure, made: Exception) -> Exception:
    """Return the author's own error with its chain; `made` in its place where there is none that can be rebuilt."""
    return unpack(failure.error.data, made) if isinstance(failure.error, Inline) else made


def _made(failure: Failure) -> Exception:
    """Return an error of ours that tells a Failure."""
    match failure.reason:
        case Reason.CANCELLED:
            return RunCancelled(failure.message)
        case Reason.DIVERGED:
            return ReplayDiverged(failure.message)
        case Reason.TIMEOUT:
            return StepTimedOut(failure.message)
        case Reason.MISUSE if failure.error is None:
            return (LimitExceeded if failure.type == "LimitExceeded" else UsageError)(failure.message)
    text = failure.message if failure.reason is not Reason.RAISED else f"{failure.type}: {failure.message}"
    if failure.traceback:
        text += "\n" + failure.traceback.rstrip()
    return StepFailed(text)
