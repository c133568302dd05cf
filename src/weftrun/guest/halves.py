"""Messages to the engine that are too large for a frame, cut in two that say the same."""

from __future__ import annotations

from msgspec.structs import replace

from weftrun.model.emits import emits_of
from weftrun.model.messages import BodyCalled, FromSandbox, ItemOutcomes, Outcomes


def halves(message: FromSandbox) -> tuple[FromSandbox, ...]:
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
        replace(message, values=first, failures=failures[: middles[1]], text="", emits=emits_of(first, emits)),
        replace(message, values=second, failures=failures[middles[1] :], emits=emits_of(second, emits)),
    )


def _called(message: BodyCalled) -> tuple[FromSandbox, ...]:
    """Cut the calls, or the chunks of maps, which come after all calls; what is awaited ends the turn."""
    calls, chunks = message.calls, message.chunks
    if len(calls) > 1 or (calls and chunks):
        middle = (len(calls) + 1) // 2
        first = replace(message, calls=calls[:middle], chunks=(), awaits=())
        return first, replace(message, functions=(), calls=calls[middle:])
    if len(chunks) > 1:
        middle = len(chunks) // 2
        first = replace(message, chunks=chunks[:middle], awaits=())
        return first, replace(message, functions=(), calls=(), chunks=chunks[middle:])
    return ()
