"""Messages to the engine that can't be sent as they are: cut in two that say the same, or told as failures."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.emits import emits_of
from weftrun.model.messages import BodyCalled, BodyEnded, FromSandbox, ItemOutcomes, Outcomes
from weftrun.model.outcomes import Failure, Ran, Reason
from weftrun.model.telling import name_of, text_of, writable


def split_message(message: FromSandbox) -> tuple[FromSandbox, ...]:
    """Return the message as two, to be sent in this order, or nothing where it can't be cut."""
    match message:
        case Outcomes(outcomes=outcomes) if len(outcomes) > 1:
            middle = len(outcomes) // 2
            return Outcomes(message.no, outcomes[:middle]), Outcomes(message.no, outcomes[middle:])
        case ItemOutcomes():
            return _items(message)
        case BodyCalled():
            return _called(message)
        case _:
            return ()


def _items(message: ItemOutcomes) -> tuple[FromSandbox, ...]:
    values, failures = message.values, message.failures
    if len(values) > 1 or len(failures) > 1:
        middles = len(values) // 2, len(failures) // 2
    elif values and failures:
        middles = 1, 0
    else:
        return ()
    first, second = values[: middles[0]], values[middles[0] :]
    emits = message.emits
    return (
        replace(
            message, values=first, failures=failures[: middles[1]], text="", printed=(), emits=emits_of(first, emits)
        ),
        replace(message, values=second, failures=failures[middles[1] :], emits=emits_of(second, emits)),
    )


def _called(message: BodyCalled) -> tuple[FromSandbox, ...]:
    """Cut the calls, or the chunks of maps, which come after all calls; what is awaited ends the turn."""
    calls, chunks = message.calls, message.chunks
    if len(calls) > 1 or (calls and chunks):
        middle = (len(calls) + 1) // 2
        first = replace(message, calls=calls[:middle], chunks=(), awaits=(), text="", takes=())
        return first, replace(message, functions=(), calls=calls[middle:])
    if len(chunks) > 1:
        middle = len(chunks) // 2
        first = replace(message, chunks=chunks[:middle], awaits=(), text="", takes=())
        return first, replace(message, functions=(), calls=(), chunks=chunks[middle:])
    return ()


def unsendable(message: FromSandbox, error: Exception) -> FromSandbox:
    """Return what to say in place of one outcome that can't be told: that its Attempt has failed, and why.

    Raises `error` where the message tells of no outcome.
    """
    text = f"its outcome can't be told to the engine: {name_of(type(error))}: {writable(text_of(error))}"
    failure = Failure(Reason.UNREADABLE, "NotSerializable", text)
    match message:
        case Outcomes(outcomes=(outcome,)):
            bare = replace(outcome, value=None, failure=failure, ran=_bare(outcome.ran), text="", emits=())
            return Outcomes(message.no, (bare,))
        case ItemOutcomes():
            ended = [*(i for lo, hi, _ in message.values for i in range(lo, hi)), *(i for i, _ in message.failures)]
            failures = tuple((index, failure) for index in sorted(ended))
            return ItemOutcomes(message.no, (), failures, _bare(message.ran))
        case BodyEnded():
            return BodyEnded(message.body, None, failure, _bare(message.ran))
        case _:
            raise error


def _bare(ran: Ran) -> Ran:
    return replace(ran, preview="")
