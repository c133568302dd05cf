"""Emits: what a Step wants told to the outside once, and how it stands with that (E1, E2).

An Emit rides in the record of its Step's outcome, so that it exists if and only if the outcome does. In the same
transaction it becomes a row of the outbox, from which a dispatcher hands it to its sink as a `Parcel`.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence

from msgspec import Struct

from weftrun.model.ids import RunId, RunUid, StepId, effect_key, item_step


class Emit(Struct, frozen=True, gc=False, array_like=True):
    """One message for a sink, as an Attempt made it.

    Attributes:
        n: its number in the Attempt, from 0; in a map, in the Attempt of its item.
        sink: name of the sink; which sink that is, the engine that delivers it knows.
        type: media type of `payload`.
        order_by: messages of one sink with the same text are delivered in the order of their commits; None: in any.
        item: index of the map's item that made it; -1 for none.
    """

    n: int
    sink: str
    payload: bytes
    type: str
    order_by: str | None = None
    item: int = -1


class DeliveryStatus(enum.IntEnum):
    """How it stands with an emit."""

    WAITING = 0
    """To be delivered; it may have been sent already."""
    DELIVERED = 1
    """The sink has it."""
    UNKNOWN = 2
    """It may have been delivered, and the sink would not know it again: somebody must look (E2)."""
    REFUSED = 3
    """The sink said that it will never take it."""
    DROPPED = 4
    """Somebody decided that it is not to be delivered."""


class Parcel(Struct, frozen=True):
    """One row of the outbox on its way.

    Attributes:
        place: in the order of commits, for all Runs of the Journal.
        at: when the record that carries it was decided, in seconds since the epoch.
        tried_at: since when it may have reached the sink, in seconds since the epoch; None: it has not.
    """

    place: int
    run: RunId
    uid: RunUid
    step: StepId
    n: int
    sink: str
    payload: bytes
    type: str
    order_by: str | None
    at: float
    tried_at: float | None = None

    @property
    def key(self) -> str:
        """By which the sink knows it again: the same however often it is sent, and no other's."""
        return emit_key(self.uid, self.step, self.n)


class Take(Struct, frozen=True):
    """Get the next emits for a sink.

    Attributes:
        limit: so many at most; `nbytes`: and no further one once their payloads have so many bytes.
        mark_at: note with them that they may have reached the sink since then (seconds since the epoch); None: don't.
            Never the same twice in a session: by it a take that is said again finds what it has marked itself.
        skip_keys: leave out what has one of these as `order_by`; `skip_places`: and these.
    """

    sink: str
    limit: int
    nbytes: int
    mark_at: float | None = None
    skip_keys: frozenset[str] = frozenset()
    skip_places: frozenset[int] = frozenset()


class Verdict(Struct, frozen=True):
    """How it stands with an emit after it was taken.

    Attributes:
        why: what went wrong, in a clause.
        untried: it has certainly not reached the sink.
    """

    place: int
    delivery_status: DeliveryStatus
    why: str = ""
    untried: bool = False


class Emitted(Struct, frozen=True):
    """What is told of one emit. Times are seconds since the epoch.

    Attributes:
        delivery_status_at: since when it has that status, where it waits no more.
        why: what went wrong the last time, where something did.
    """

    run: RunId
    key: str
    step: StepId
    sink: str
    order_by: str | None
    delivery_status: DeliveryStatus
    at: float
    delivery_status_at: float | None = None
    why: str = ""


def emit_key(uid: RunUid, step: StepId, n: int) -> str:
    """Return the key of a Step's (or an item's) `n`-th emit."""
    return f"{effect_key(uid, step)}/{n}"


def of_emit_key(key: str) -> tuple[RunUid, StepId, int]:
    """Return what an emit's key was made of; `ValueError` where it is none."""
    uid, _, rest = key.partition("/")
    step, _, n = rest.rpartition("/")
    if not step or not n.isdecimal() or len(uid) != _UID_DIGITS or not set(uid) <= set("0123456789abcdef"):
        raise ValueError(key)
    return RunUid(uid), StepId(step), int(n)


_UID_DIGITS = 32


def emits_of(values: Sequence[tuple[int, int, object]], emits: Sequence[Emit]) -> tuple[Emit, ...]:
    """Return the emits of those items of a map whose values are among these ranges `(lo, hi, …)`."""
    return tuple(emit for emit in emits if any(lo <= emit.item < hi for lo, hi, _ in values))


def emitter(step: StepId, emit: Emit) -> StepId:
    """Return the Step, or the item, that made an emit of a Step's record."""
    return step if emit.item < 0 else item_step(step, emit.item)
