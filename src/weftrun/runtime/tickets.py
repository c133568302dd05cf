"""Tickets: what threads of the author hold of a Run, and wait on; and what else they wait for."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from msgspec import Struct, field

from weftrun.model.commands import End
from weftrun.model.errors import WeftrunError
from weftrun.model.ids import RunId, RunUid

_CHECK_S = 1.0
"""A thread that waits for the loop looks this often whether it still may, in seconds."""

T = TypeVar("T")


class Latch:
    """Opens once. Threads wait on it; the loop's callbacks are called when it opens."""

    __slots__ = ("_callbacks", "_lock", "is_open")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self._callbacks: list[Callable[[], None]] = []
        self.is_open = False

    def open(self) -> None:
        """Let everybody through. Called on the loop, idempotent."""
        if not self.is_open:
            self.is_open = True
            self._lock.release()
            for callback in self._callbacks:
                callback()
            self._callbacks.clear()

    def wait(self, timeout_s: float | None) -> bool:
        """Wait until it opens; False if the time runs out first. From any thread but the loop's."""
        if self.is_open:
            return True
        if not self._lock.acquire(timeout=-1 if timeout_s is None else max(0.0, timeout_s)):
            return False
        self._lock.release()
        return True

    def on_open(self, callback: Callable[[], None]) -> None:
        """Call back, on the loop, when it opens. Called on the loop."""
        if self.is_open:
            callback()
        else:
            self._callbacks.append(callback)


class Reply(Generic[T]):
    """What a thread waits for and the loop brings."""

    __slots__ = ("_came", "_errors", "_results")

    def __init__(self) -> None:
        self._came = Latch()
        self._results: list[T] = []
        self._errors: list[WeftrunError] = []

    def done(self, result: T) -> None:
        """Bring what was asked for. Called on the loop."""
        self._results.append(result)
        self._came.open()

    def failed(self, error: WeftrunError) -> None:
        """Bring why it can't be had. Called on the loop."""
        self._errors.append(error)
        self._came.open()

    def wait(self, check: Callable[[], None]) -> T:
        """Return it, or raise why it can't be had. From any thread but the loop's.

        Args:
            check: called now and then meanwhile; raises what keeps it from ever coming.
        """
        while not self._came.wait(_CHECK_S):
            check()
        if self._errors:
            raise self._errors[0]
        return self._results[0]


class Ticket(Struct, eq=False, weakref=True):
    """A Run as its starter knows it. Fields but `id` are set on the loop before the latch that guards them opens.

    Attributes:
        uid: of the Run that answers; another one's where the id was taken already.
        started: opens when the start record is durable; `joined` tells that the Run was there before.
        ended: opens when the Run's answer may leave the engine.
        error: what went wrong with the start itself.
        durable: whether the Run keeps records.
        also: digests of the start's arguments, written in another way than that which is recorded.
        compared: whether the arguments of the start were compared with those of the Run that it joined.
        traceparent: the context of whoever started it, as W3C has it; empty where there is none.
        parked: whether it waits for code that fits it.
        rests: what the Run waits for, where nobody owns it since it does nothing else; else empty.
        begun_otherwise: how the program that began the Run was started otherwise than this one; empty where it was not.
        ended_before: when the Run had ended, in seconds since the epoch, before it was asked for; None if it had not.
    """

    id: RunId
    uid: RunUid
    durable: bool = True
    also: tuple[str, ...] = ()
    started: Latch = field(default_factory=Latch)
    ended: Latch = field(default_factory=Latch)
    joined: bool = False
    compared: bool = True
    parked: bool = False
    rests: str = ""
    traceparent: str = ""
    begun_otherwise: str = ""
    ended_before: float | None = None
    error: WeftrunError | None = None
    end: End | None = None

    def succeed(self, end: End) -> None:
        """The Run is over."""
        self.end = end
        self.started.open()
        self.ended.open()

    def park(self, error: WeftrunError) -> None:
        """The Run waits for other code, and may do so for ever."""
        self.parked = True
        self.fail(error)

    def fail(self, error: WeftrunError) -> None:
        """There is no Run to wait for."""
        self.error = error
        self.started.open()
        self.ended.open()


class Tickets:
    """Tickets in the order in which they came, held weakly: nobody is told anything who does not wait any more."""

    __slots__ = ("_tickets",)

    def __init__(self) -> None:
        self._tickets: weakref.WeakKeyDictionary[Ticket, None] = weakref.WeakKeyDictionary()

    def add(self, ticket: Ticket) -> None:
        """Add a ticket, once."""
        self._tickets[ticket] = None

    def __iter__(self) -> Iterator[Ticket]:
        return iter(list(self._tickets))
