"""Messages that are too large for a frame: sent in halves, or answered in the Sandbox's place by a failure.

Only a Batch can be told in halves. What one Invocation needs can't: its Step fails, and the Sandbox lives on.
"""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.errors import UsageError
from weftrun.model.ids import StepId, item_step
from weftrun.model.limits import Limits
from weftrun.model.messages import (
    Batch,
    BodyDeliver,
    BodyEnded,
    BodyStart,
    FromSandbox,
    ItemBatch,
    ItemOutcomes,
    Outcomes,
    ToSandbox,
)
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason

_SPARE_BYTES = 64 * 1024


def check_frame_limit(limits: Limits) -> None:
    """Refuse limits under which the outcome of one Attempt might not fit into a frame. Raises UsageError."""
    # A byte that is no UTF-8 becomes three bytes in the text; an error is message, traceback and pickle.
    texts = 3 * limits.text_bytes_max + limits.preview_bytes_max + 3 * limits.error_text_bytes_max
    least = limits.inline_bytes_max + texts + _SPARE_BYTES
    if limits.frame_bytes_max < least:
        raise UsageError(
            f"The limit frame_bytes_max is {limits.frame_bytes_max}, but with the other limits one outcome may take "
            f"{least} bytes. Raise it, or lower inline_bytes_max, text_bytes_max or error_text_bytes_max."
        )


def split_message(message: ToSandbox) -> tuple[ToSandbox, ...]:
    """Return the message as two that say the same, or nothing where it can't be cut."""
    if not isinstance(message, Batch) or len(message.items) < 2:
        return ()
    middle = len(message.items) // 2
    first, second = message.items[:middle], message.items[middle:]
    return replace(message, items=first), replace(message, items=second, base=message.base + middle)


def refusal(message: ToSandbox, body: BodyStart | None, frame_bytes: int, limits: Limits) -> FromSandbox | None:
    """Return what a Sandbox would say if it refused this message, which has `frame_bytes` bytes; None for nothing.

    `body` is how the body that the message is about was entered, if it is about one.
    """
    match message:
        case Batch(items=(invocation,)):
            failure = _failure("The arguments of", invocation.id, invocation.attempt, frame_bytes, limits)
            attempt, undoes = invocation.attempt, invocation.undoes
            refused = Outcome(invocation.step, attempt, None, failure, NOT_RUN, undoes, index=message.base)
            return Outcomes(message.no, (refused,))
        case ItemBatch():
            indices = [index for lo, hi in message.ranges for index in range(lo, hi)]
            failures = tuple(
                (i, _failure("The arguments of", item_step(message.id, i), message.attempt, frame_bytes, limits))
                for i in indices
            )
            return ItemOutcomes(message.no, (), failures, NOT_RUN)
        case BodyStart():
            failure = _failure("The arguments of", message.id, message.attempt, frame_bytes, limits)
            return BodyEnded(message.body, None, failure, NOT_RUN)
        case BodyDeliver() if body is not None:
            failure = _failure("The value awaited by", body.id, body.attempt, frame_bytes, limits)
            return BodyEnded(message.body, None, failure, NOT_RUN)
        case _:
            return None


def _failure(what: str, origin: StepId, attempt: int, frame_bytes: int, limits: Limits) -> Failure:
    text = (
        f"{what} {origin} would be a message of {frame_bytes} bytes to a Sandbox; the limit frame_bytes_max is "
        f"{limits.frame_bytes_max}. Join fewer values in one Step (in layers), or make each larger than "
        f"{limits.inline_bytes_max} bytes, from where they travel beside messages."
    )
    return Failure(Reason.MISUSE, "weftrun.UsageError", text, origin=origin, attempt=attempt)
