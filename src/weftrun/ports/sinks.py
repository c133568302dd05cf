"""Sinks: where emits go. A sink of one's own is a small class that passes `weftrun.testing.contracts.sinks`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from weftrun.model.ids import RunId, StepId
from weftrun.model.outbox import Result


class SinkMessage(Struct, frozen=True):
    """What a sink is handed.

    Attributes:
        key: the same however often the message is sent, and no other's; at most some 1,300 bytes of printable text.
        payload: what the author has emitted; `type` is its media type.
        order_by: messages with the same text are to arrive in the order in which they are handed over.
        run, step: what emitted it, for people.
        at: when its record was decided, in seconds since the epoch.
    """

    key: str
    payload: bytes
    type: str
    order_by: str | None
    run: RunId
    step: StepId
    at: float


class Sink(Protocol):
    """Delivers messages to one place outside. All methods are called from one thread at a time, and may block.

    `deliver` must end by itself, however the other side behaves: it bounds each request in time.
    """

    @property
    def dedupes_for_s(self) -> float:
        """For how long after a message's arrival a second one with its key is dropped, in seconds.

        `math.inf`: for ever. 0: not at all; then a message of which nothing is known is not sent again (E2).
        """

    @property
    def keeps_order(self) -> bool:
        """Whether `deliver` takes several messages with the same `order_by` and brings them there in their order.

        Of one that says False, only the first is handed over, and the next when that was delivered.
        """

    def deliver(self, messages: Sequence[SinkMessage], may_begin: Callable[[], bool]) -> Sequence[Result]:
        """Send messages, and say of each what became of it, in the same order.

        To be asked before each message is begun, from whichever thread: once `may_begin` returns False, the rest is
        `UNSENT`. So are, where order is kept, those behind one with the same `order_by` that was not delivered. An
        error that comes out of here means that nothing is known of any of them (`UNSURE`).
        """

    def close(self) -> None:
        """Release connections. Idempotent."""
