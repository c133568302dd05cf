"""Events and commands of the machine that delivers to one sink, and what a sink answers (E2)."""

from __future__ import annotations

import enum

from msgspec import Struct

from weftrun.model.emits import Parcel, Take, Verdict


class Answer(enum.IntEnum):
    """What became of one message that was handed to a sink."""

    DELIVERED = 0
    """The sink has it: from now, or from an earlier time."""
    FAILED = 1
    """It has certainly not reached the sink; it may the next time."""
    UNSURE = 2
    """It may have reached the sink: the answer was lost, or came too late."""
    REFUSED = 3
    """The sink will never take it."""
    UNSENT = 4
    """It was not begun: the time was over, or one before it with the same key failed."""


class Result(Struct, frozen=True):
    """What became of one message. `why` is a clause, for people."""

    answer: Answer
    why: str = ""


class Woken(Struct, frozen=True):
    """There may be something for the sink."""

    now: float


class Took(Struct, frozen=True):
    """A take has given these; `owned` as in `ports.outbox.TakenEmits`."""

    now: float
    parcels: tuple[Parcel, ...]
    owned: bool


class Missed(Struct, frozen=True):
    """A take or a note was not done: the session is gone, the engine closes, or the Journal refuses."""

    now: float


class Answered(Struct, frozen=True):
    """The sink has answered, message by message; `jitter` is a number from 0 to 1."""

    now: float
    results: tuple[Result, ...]
    jitter: float


class Noted(Struct, frozen=True):
    """What became of the messages is in the Journal; or another session owns the sink by now."""

    now: float
    owned: bool


class OutboxTick(Struct, frozen=True):
    """A time that was asked for has come."""

    now: float


class Fenced(Struct, frozen=True):
    """The session is gone: the sink is another one's, or free."""

    now: float


OutboxEvent = Woken | Took | Missed | Answered | Noted | OutboxTick | Fenced


class DeliverEmits(Struct, frozen=True):
    """Hand these to the sink, in this order; begin none later than `within_s` seconds from now."""

    parcels: tuple[Parcel, ...]
    within_s: float


class Note(Struct, frozen=True):
    """Say in the Journal how it stands with these; answered by `Noted` or `Missed`."""

    verdicts: tuple[Verdict, ...]


class OutboxTickAt(Struct, frozen=True):
    """Tell `OutboxTick` at this time (seconds since the epoch); a later command replaces it."""

    at: float


OutboxCommand = Take | DeliverEmits | Note | OutboxTickAt
