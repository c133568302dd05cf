"""The engine's loop: a uvloop event loop in a thread of its own (port Loop).

Callbacks queue here and not in uvloop: so `idle` can tell whether something waits, and a callback costs an append.
Only file descriptors, timers and the wake-up from other threads are uvloop's.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import uvloop

from weftrun.adapters.system.clock import WallClock
from weftrun.adapters.system.lanes import ThreadLane
from weftrun.model.errors import EngineClosed
from weftrun.ports.loop import FOREIGN_LANE

Callback = Callable[[], None]

_LONG_S = 0.25
_FOREIGN_S = 1.0


class Timer:
    """A callback at a time. libuv counts whole milliseconds from when it last looked, so it may wake early."""

    __slots__ = ("_at", "_callback", "_handle", "_loop")

    def __init__(self, loop: UvLoop, at: float, callback: Callback) -> None:
        self._loop = loop
        self._at = at
        self._callback: Callback | None = callback
        delay_s = at - loop.now()
        # One wake-up, a little late, instead of two where nobody would see the difference.
        self._handle = loop.wake_later(delay_s + (0.002 if delay_s > _LONG_S else 0.0), self._came)

    def cancel(self) -> None:
        """Do not call it. Idempotent."""
        self._callback = None
        self._handle.cancel()

    def _came(self) -> None:
        left_s = self._at - self._loop.now()
        if left_s > 0:
            self._handle = self._loop.wake_later(left_s, self._came)
        elif self._callback is not None:
            self._loop.call_soon(self._callback)


class UvLoop:
    """Calls back in one thread, from `start` to `stop`.

    Besides the port it gives what channels need of an event loop: `add_reader`, `remove_reader`, `add_writer`,
    `remove_writer`, `stay_awake`, to be called in the loop's thread.

    Args:
        failed: called in the loop's thread with an error that a callback or a work let out; that is a bug of ours.
            Without it the error is printed.
        name: of the thread.
    """

    def __init__(self, failed: Callable[[BaseException], None] | None = None, *, name: str = "weftrun-loop") -> None:
        # Asked several times a Step, so without a call in between.
        self.now: Callable[[], float] = WallClock().now
        self._failed = failed
        self._ready: deque[Callback] = deque()
        self._turning = False
        self._posted: deque[Callback] = deque()
        self._woken = False
        self._awake = False
        self._awake_until = 0.0
        self._lanes: dict[str, ThreadLane] = {}
        self._closed = False
        self._uv: asyncio.AbstractEventLoop = uvloop.new_event_loop()
        self._uv.set_exception_handler(self._on_exception)
        self.add_reader: Callable[..., object] = self._uv.add_reader
        self.remove_reader: Callable[[int], object] = self._uv.remove_reader
        self.add_writer: Callable[..., object] = self._uv.add_writer
        self.remove_writer: Callable[[int], object] = self._uv.remove_writer
        # Daemon: a program that ends without closing its engine must end; closing at exit is the assembly's duty.
        self._thread = threading.Thread(target=self._uv.run_forever, name=name, daemon=True)

    # ------------------------------------------------------------------ life

    def start(self) -> None:
        """Start the thread. Callbacks that were scheduled before are called now."""
        self._thread.start()

    def stop(self) -> None:
        """Finish the work of all lanes, call what is ready, and return when the thread has ended. Idempotent.

        Of foreign lanes only what ends soon is waited for. Timers that are not due are dropped. Not to be called in
        the loop's thread.
        """
        if self._closed:
            return
        for name, lane in list(self._lanes.items()):
            lane.stop(_FOREIGN_S if name.startswith(FOREIGN_LANE) else None)
        if self._thread.ident is not None:
            self.call_from_thread(self._uv.stop)
            self._closed = True
            self._thread.join()
        self._closed = True
        self._uv.close()

    # ------------------------------------------------------------------ the port

    def call_soon(self, callback: Callback) -> None:
        """Call back after what is running and what was scheduled before."""
        self._ready.append(callback)
        if not self._turning:
            self._turning = True
            self._uv.call_soon(self._turn)

    def call_at(self, at: float, callback: Callback) -> Timer:
        """Call back at a time (seconds since the epoch) or a little later."""
        return Timer(self, at, callback)

    def wake_later(self, delay_s: float, callback: Callback) -> asyncio.TimerHandle:
        """Call back after `delay_s` seconds as libuv counts them: up to a millisecond early or late."""
        return self._uv.call_later(max(delay_s, 0.001), callback)

    def call_from_thread(self, callback: Callback) -> None:
        """Call back in the loop's thread, from any thread, one wake-up for a burst. `EngineClosed` after `stop`."""
        if self._closed:
            raise EngineClosed("The engine was closed. Open another one on the same Journal.")
        self._posted.append(callback)
        # `_receive` takes the flag down before it empties the deque: whoever still sees it up is seen by `_receive`.
        if not self._woken:
            self._woken = True
            self._uv.call_soon_threadsafe(self._receive)

    def offload(self, work: Callback, done: Callback, *, lane: str) -> None:
        """Run `work` outside the loop, then `done` on the loop. Works of one lane run in order, one at a time."""
        thread = self._lanes.get(lane)
        if thread is None:
            thread = ThreadLane(f"weftrun-{lane}", self.call_from_thread, self._work_failed)
            self._lanes[lane] = thread
        thread.put(work, done)

    def stay_awake(self, seconds: float) -> None:
        """Look for what comes during the next seconds without sleeping; 0 takes it back. In the loop's thread."""
        self._awake_until = perf_counter() + seconds if seconds else 0.0
        if seconds and not self._awake:
            self._awake = True
            self._uv.call_soon(self._look)

    def _look(self) -> None:
        # As long as a callback waits, uvloop looks at descriptors and timers without sleeping.
        if perf_counter() < self._awake_until:
            self._uv.call_soon(self._look)
        else:
            self._awake = False

    def idle(self) -> bool:
        """Say whether no other callback waits to be called now (descriptors that just became ready are not seen)."""
        return not self._ready and not self._posted

    # ------------------------------------------------------------------ turns

    def _turn(self) -> None:
        """Call what was ready when the turn began, so that descriptors and timers get theirs between two turns."""
        ready = self._ready
        try:
            for _ in range(len(ready)):
                ready.popleft()()
        finally:
            if ready:
                self._uv.call_soon(self._turn)
            else:
                self._turning = False

    def _receive(self) -> None:
        self._woken = False
        posted = self._posted
        while posted:
            self._ready.append(posted.popleft())
        if self._ready and not self._turning:
            self._turning = True
            self._turn()

    # ------------------------------------------------------------------ our bugs

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if self._failed is not None and isinstance(error, BaseException):
            self._failed(error)
        else:
            loop.default_exception_handler(context)

    def _work_failed(self, error: BaseException) -> None:
        self.call_from_thread(partial(self._raise, error))

    @staticmethod
    def _raise(error: BaseException) -> None:
        raise error
