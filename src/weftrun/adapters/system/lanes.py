"""Slow work beside the loop: one thread a lane, in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from weftrun.model.errors import EngineClosed

Work = Callable[[], None]


class ThreadLane:
    """A thread that does works one after the other and sleeps, at no cost, while there is none.

    Args:
        name: of the thread, for people who look at a stuck process.
        tell: hands a callback to the loop.
        failed: told of an error that a work should have kept to itself.
    """

    def __init__(self, name: str, tell: Callable[[Work], None], failed: Callable[[BaseException], None]) -> None:
        self._tell = tell
        self._failed = failed
        self._works: SimpleQueue[tuple[Work, Work] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def put(self, work: Work, done: Work) -> None:
        """Do `work` after all that was put before, then `done` on the loop."""
        self._works.put((work, done))

    def stop(self, patience_s: float | None = None) -> None:
        """Return when everything that was put is done and the thread has ended, or after `patience_s` seconds."""
        self._works.put(None)
        self._thread.join(patience_s)

    def _serve(self) -> None:
        while (item := self._works.get()) is not None:
            work, done = item
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - our bug: it must stop the engine, not only this thread
                self._failed(error)
            else:
                try:
                    self._tell(done)
                except EngineClosed:
                    return  # the loop has ended; nobody waits for this any more
            # Not to be kept alive while this thread waits for the next one.
            del item, work, done
