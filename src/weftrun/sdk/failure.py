"""Errors to Failures and back."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

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
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.values import Data, Inline
from weftrun.sdk.codec import decode, encode

if TYPE_CHECKING:
    from traceback import TracebackException
    from types import TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_READ_ONLY = "Values reach a Step read-only, because others may read the same memory: write to a copy, `x.copy()`."
_PYTHONS = ("<frozen importlib", "<frozen runpy")


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
    """Return what is kept of an error that the author's code raised.

    Args:
        origin: the Step, or item, that raised it.
        attempts: how many Attempts the policy allows.
        bytes_max: bound for the message, the traceback and the pickled error, each.
        reason: None takes it from the error's type.
        run: of a body: an error that it was given by a Step of this Run, and let through, stays that Step's failure.
    """
    if _is_write_to_shared(error) and _READ_ONLY not in _notes(error):
        error.add_note(_READ_ONLY)
    if run is not None and (passed := _passed_on(error, run)) is not None:
        text = f"{passed.traceback.rstrip()}\npassed on by {origin}{_line_of(error)}"
        return replace(passed, traceback=_bounded(text, bytes_max), error=_passed_error(error, passed, bytes_max))
    kind = type(error)
    name = (
        kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
    )
    return Failure(
        reason or _reason_of(error),
        name,
        _bounded(_text_of(error), bytes_max),
        _bounded(authors_traceback(error), bytes_max),
        origin,
        attempt,
        attempts,
        _pickled(error, bytes_max),
    )


def _is_write_to_shared(error: BaseException) -> bool:
    """Say whether a value's memory was to be written: the words are those of NumPy, of Cython and of Python itself."""
    return type(error) in (ValueError, TypeError) and str(error).endswith(("is read-only", "read-only memory"))


def _passed_on(error: BaseException, run: RunId) -> Failure | None:
    """Return the Failure that `error_of` made this error of, for a body of this Run."""
    told = [note for note in _notes(error) if isinstance(note, _Told) and note.run == run]
    return told[-1].failure if told else None


def _passed_error(error: BaseException, passed: Failure, bytes_max: int) -> Data | None:
    """Return the encoding of an error that is passed on: with what the author has put on it, without our notes."""
    if passed.error is None or type(error) is StepFailed:
        return passed.error
    before = error.__notes__
    error.__notes__ = [note for note in before if not isinstance(note, _Told)]
    try:
        return _pickled(error, bytes_max) or passed.error
    finally:
        error.__notes__ = before


def _notes(error: BaseException) -> list[object]:
    notes = getattr(error, "__notes__", None)
    return notes if isinstance(notes, list) else []


def _line_of(error: BaseException) -> str:
    """Return the author's line that an error came through first, in the way of a traceback."""
    trace = _skip_ours(error.__traceback__)
    return f', File "{trace.tb_frame.f_code.co_filename}", line {trace.tb_lineno}' if trace is not None else ""


def _reason_of(error: BaseException) -> Reason:
    if isinstance(error, MemoryError):
        return Reason.MEMORY
    if isinstance(error, NotSerializable):
        return Reason.UNREADABLE
    if isinstance(error, UsageError | LimitExceeded):
        return Reason.MISUSE
    return Reason.RAISED


def _text_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  # `__str__` is the author's code, which may raise anything
        return f"<{type(error).__qualname__} whose text can't be made>"


def _bounded(text: str, bytes_max: int) -> str:
    raw = text.encode("utf-8", "replace")
    if len(raw) <= bytes_max:
        return text
    half = bytes_max // 2 - 20
    return raw[:half].decode("utf-8", "ignore") + "\n… (cut) …\n" + raw[-half:].decode("utf-8", "ignore")


def _pickled(error: BaseException, bytes_max: int) -> Inline | None:
    """Return the error's encoding if it comes back as the same type, else None.

    What isn't an Exception (SystemExit, KeyboardInterrupt) has none: it would end who asks, who has done nothing.
    """
    if not isinstance(error, Exception):
        return None
    try:
        data = encode(error, what="the error").tobytes()
        if len(data) <= bytes_max and type(decode(data)) is type(error):
            return Inline(data)
    except Exception:  # noqa: BLE001  # pickling and rebuilding run the author's code, which may raise anything
        return None
    return None


def authors_traceback(error: BaseException) -> str:
    """Return the traceback with the author's frames only, causes and contexts included."""
    traceback = importlib.import_module("traceback")  # late: only errors need it, and it brings the tokenizer
    shown: TracebackException = traceback.TracebackException(
        type(error), error, _skip_ours(error.__traceback__), compact=True
    )
    link: TracebackException | None = shown
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = [frame for frame in link.stack if not _is_ours(frame.filename)]
        link.stack = traceback.StackSummary.from_list(frames)
        link = link.__cause__ or link.__context__
    return "".join(shown.format())


def _is_ours(filename: str) -> bool:
    return filename.startswith((_OURS, *_PYTHONS))


def _skip_ours(trace: TracebackType | None) -> TracebackType | None:
    while trace is not None and _is_ours(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def error_of(failure: Failure, *, run: RunId | None) -> BaseException:
    """Return the error to raise for a Failure: of the author's type where it can be rebuilt, with a note on where.

    The note reads like `in count[3] of run books-1, attempt 2 of 3`, and the traceback in the Sandbox follows it.
    """
    rebuilt = _rebuilt(failure)
    error = rebuilt if rebuilt is not None else _made(failure)
    where = f"in {failure.origin}" if failure.origin else "in a Step"
    run_name = f" of run {run}" if run else ""
    tries = f", attempt {failure.attempt} of {failure.attempts}" if failure.attempts > 1 else ""
    _tell(error, f"{where}{run_name}{tries}", failure, run)
    if failure.traceback and rebuilt is not None:
        _tell(error, "In the Sandbox:\n" + failure.traceback.rstrip(), failure, run)
    return error


def _tell(error: BaseException, text: str, failure: Failure, run: RunId | None) -> None:
    note = _Told(text)
    note.failure, note.run = failure, run
    error.add_note(note)


def _rebuilt(failure: Failure) -> Exception | None:
    """Return the author's own error, or None where nobody raised one or it does not come back."""
    if isinstance(failure.error, Inline):
        try:
            error = decode(failure.error.data)
        except Exception:  # noqa: BLE001  # rebuilding runs the author's code, which may raise anything
            return None
        return error if isinstance(error, Exception) else None
    return None


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
