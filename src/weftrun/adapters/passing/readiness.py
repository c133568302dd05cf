"""What this adapter needs of a loop beyond the port: readiness of descriptors; and a channel that waits by it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from weftrun.wire.channel import Channel

_In = TypeVar("_In")


class FdLoop(Protocol):
    """A loop that calls back when a descriptor can be read or written, by asyncio's names."""

    def now(self) -> float:
        """Return the time, in seconds since the epoch."""

    def call_soon(self, callback: Callable[[], None], /) -> object:
        """Call back after what is running."""

    def call_at(self, at: float, callback: Callable[[], None], /) -> object:
        """Call back at a time (seconds since the epoch) or a little later."""

    def stay_awake(self, seconds: float, /) -> object:
        """Look for what comes during the next seconds without sleeping; 0 takes it back."""

    def add_reader(self, fd: int, callback: Callable[[], None], /) -> object:
        """Call back whenever the descriptor can be read."""

    def remove_reader(self, fd: int, /) -> object:
        """Call back no more."""

    def add_writer(self, fd: int, callback: Callable[[], None], /) -> object:
        """Call back whenever the descriptor can be written."""

    def remove_writer(self, fd: int, /) -> object:
        """Call back no more."""


class ThreadLoop(FdLoop, Protocol):
    """A loop that other threads can call into, and that has threads for what takes time."""

    def call_from_thread(self, callback: Callable[[], None], /) -> object:
        """Call back soon, in the loop's thread. `EngineClosed` where it has ended."""

    def offload(self, work: Callable[[], None], done: Callable[[], None], *, lane: str) -> object:
        """Run `work` outside the loop, then `done` on the loop. Works of one lane run in order, one at a time."""


class LoopChannel(Generic[_In]):
    """A non-blocking channel on a loop: calls `readable` when something came, and sends the rest when it can."""

    def __init__(self, loop: FdLoop, channel: Channel[_In], readable: Callable[[], None]) -> None:
        """Watch the channel's socket, which is made non-blocking."""
        self._loop = loop
        self._channel = channel
        self._to_close: list[int] = []
        self._then: list[Callable[[], None]] = []
        self._writing = self._gathers = False
        self._fd = channel.socket.fileno()
        channel.socket.setblocking(False)
        loop.add_reader(self._fd, readable)

    def send(self, message: msgspec.Struct, descriptors: Sequence[int] = (), *, close: Sequence[int] = ()) -> None:
        """Send, now or when there is room; `close` are descriptors to be closed once they have gone."""
        self._channel.queue(message, descriptors)
        self._to_close += close
        if not self._writing:
            self._flush()

    def gather(self, message: msgspec.Struct, descriptors: Sequence[int] = (), *, close: Sequence[int] = ()) -> None:
        """Send as `send` does, together with all else of this turn of the loop, when it is over."""
        self._channel.queue(message, descriptors)
        self._to_close += close
        if not self._writing and not self._gathers:
            self._gathers = True
            self._loop.call_soon(self._send_gathered)

    def when_sent(self, then: Callable[[], None]) -> None:
        """Call back when the other end will hear all that was sent and gathered so far, even if this one ends then."""
        self._then.append(then)

    def _send_gathered(self) -> None:
        self._gathers = False
        if self._fd >= 0 and not self._writing:
            self._flush()

    def receive(self) -> list[tuple[_In, tuple[int, ...]]] | None:
        """Receive once: messages that are complete now, None at the end; BlockingIOError where nothing is there."""
        return self._channel.receive()

    def deaf(self) -> None:
        """Watch the socket no more for reading: after its end."""
        self._loop.remove_reader(self._fd)

    def close(self) -> None:
        """Watch no more and close everything. Idempotent."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            if self._writing:
                self._loop.remove_writer(self._fd)
            self._fd = -1
        self._channel.close()
        self._close_sent()

    def _flush(self) -> None:
        done = self._channel.flush()
        if done:
            self._close_sent()
        if done and self._writing:
            self._writing = False
            self._loop.remove_writer(self._fd)
        elif not done and not self._writing:
            self._writing = True
            self._loop.add_writer(self._fd, self._flush)
        if done and self._then:
            then, self._then = self._then, []
            for go in then:
                go()

    def _close_sent(self) -> None:
        for descriptor in self._to_close:
            os.close(descriptor)
        self._to_close.clear()
