"""Errors to Failures and back."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

from weftrun.model.errors import (
    LimitExceeded,
    NotSerializable,
    ReplayDiverged,
    RunCancelled,
    StepFailed,
    UsageError,
)
from weftrun.model.ids import RunId, StepId
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.values import Inline
from weftrun.sdk.codec import decode, encode

if TYPE_CHECKING:
    from types import TracebackType

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PYTHONS = ("<frozen importlib", "<frozen runpy")


def failure_of(
    error: BaseException, *, origin: StepId, attempt: int, attempts: int, bytes_max: int, reason: Reason | None = None
) -> Failure:
    """Return what is kept of an error that the author's code raised.

    Args:
        origin: the Step, or item, that raised it.
        attempts: how many Attempts the policy allows.
        bytes_max: bound for the message, the traceback and the pickled error, each.
        reason: None takes it from the error's type.
    """
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
    """Return the error's encoding if it comes back as the same type, else None."""
    try:
        data = encode(error, what="the error").tobytes()
        if len(data) <= bytes_max and type(decode(data)) is type(error):
            return Inline(data)
    except Exception:  # noqa: BLE001  # pickling and rebuilding run the author's code, which may raise anything
        return None
    return None


def authors_traceback(error: BaseException) -> str:
    """Return the traceback with the author's frames only, causes and contexts included."""
    shown = traceback.TracebackException(type(error), error, _skip_ours(error.__traceback__), compact=True)
    link: traceback.TracebackException | None = shown
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
    error = _rebuilt(failure)
    where = f"in {failure.origin}" if failure.origin else "in a Step"
    run_name = f" of run {run}" if run else ""
    tries = f", attempt {failure.attempt} of {failure.attempts}" if failure.attempts > 1 else ""
    error.add_note(f"{where}{run_name}{tries}")
    if failure.traceback and failure.error is not None:
        error.add_note("In the Sandbox:\n" + failure.traceback.rstrip())
    return error


def _rebuilt(failure: Failure) -> BaseException:
    if failure.reason is Reason.CANCELLED:
        return RunCancelled(failure.message)
    if failure.reason is Reason.DIVERGED:
        return ReplayDiverged(failure.message)
    if isinstance(failure.error, Inline):
        try:
            error = decode(failure.error.data)
            # What isn't an Exception (SystemExit, KeyboardInterrupt) would end who asks, who has done nothing.
            if isinstance(error, Exception):
                return error
        except Exception:  # noqa: BLE001  # rebuilding runs the author's code, which may raise anything
            pass  # its text is told below
    if failure.reason is Reason.MISUSE and failure.error is None:
        return UsageError(failure.message)
    text = failure.message if failure.reason is not Reason.RAISED else f"{failure.type}: {failure.message}"
    if failure.traceback:
        text += "\n" + failure.traceback.rstrip()
    return StepFailed(text)
