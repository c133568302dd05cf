"""What changes the Journal, one thing after the other, and again what could not be done yet.

A full disk, a lock that another process keeps and a commit whose reply was lost are nobody's end: the same is done
again until it is known to have happened, and what comes later waits behind it. So whatever is put here must be
idempotent, as all of the port Journal is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from msgspec import Struct

from weftrun.model.errors import CommitUnknown, JournalBusy, JournalFull, WeftrunError
from weftrun.ports.loop import Loop
from weftrun.runtime.offload import do_and_report

_AGAIN_S = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Waits before the next try, in seconds; the last one from then on."""

AGAIN = (JournalFull, JournalBusy, CommitUnknown)
"""Errors after which the same is done again."""

T = TypeVar("T")


class _Write(Struct, eq=False):
    work: Callable[[], Any]
    done: Callable[[Any, float], None]
    failed: Callable[[WeftrunError], None]
    holds: bool = False
    again: bool = True
    lane: str = "journal"


class JournalQueue:
    """The Journal's writes, done in its lane in the order in which they were put.

    Args:
        stands_still: told once what is wrong when something has to be done again, until it has been done.

    Attributes:
        stuck: what they stand still for: `disk`, `lock` (another process keeps it), or nothing.
        open: how many are being done, or wait to be.
        holds: how many of these hold the Journal, or are about to.
    """

    def __init__(self, loop: Loop, stands_still: Callable[[str], None]) -> None:
        self.stuck = ""
        self.open = self.holds = 0
        self._loop = loop
        self._stands_still = stands_still
        self._queue: deque[_Write] = deque()
        self._tries = 0
        self._gives_up = False
        self._locked_out: JournalBusy | None = None

    def put(
        self,
        work: Callable[[], T],
        done: Callable[[T, float], None],
        failed: Callable[[WeftrunError], None],
        *,
        holds: bool = False,
    ) -> None:
        """Do `work` outside the loop after all that was put before; then `done` or `failed` on the loop.

        `done` also gets when the try that worked was begun, in seconds since the epoch. What `holds` keeps all that is
        put later waiting from then on, until `let_go`.
        """
        self._add(_Write(work, done, failed, holds=holds))

    def put_once(
        self, work: Callable[[], T], done: Callable[[T], None], failed: Callable[[WeftrunError], None], *, lane: str
    ) -> None:
        """Do `work` in its turn in a lane of its own, and never again: `failed` is told of every error.

        What is put before and after, a new session above all, is done before and after it all the same.
        """
        self._add(_Write(work, lambda result, _: done(result), failed, again=False, lane=lane))

    def _add(self, write: _Write) -> None:
        self._queue.append(write)
        self.open += 1
        self.holds += write.holds
        if self.open == 1:
            self._begin()

    def give_up(self) -> None:
        """The engine closes: from now on everything is tried once more, and then it has failed.

        What comes after something that another process's lock has kept out is not tried: it would wait as long.
        """
        self._gives_up = True

    def _begin(self) -> None:
        write = self._queue[0]
        begun_at = self._loop.now()

        def done(result: Any) -> None:
            self._over(goes_on=not write.holds)
            write.done(result, begun_at)

        def failed(error: WeftrunError) -> None:
            if isinstance(error, AGAIN) and write.again and not self._gives_up:
                self._wait(error)
            else:
                if isinstance(error, JournalBusy) and self._gives_up:
                    self._locked_out = error
                self._over(goes_on=True)
                write.failed(error)

        if self._locked_out is not None and write.again:
            refusal = self._locked_out
            self._loop.call_soon(lambda: failed(refusal))
            return
        self._loop.offload(*do_and_report(write.work, done, failed), lane=write.lane)

    def _over(self, *, goes_on: bool) -> None:
        self._tries = 0
        self.stuck = ""
        if goes_on:
            self.release()

    def release(self) -> None:
        """What was in front is over: go on with the next."""
        self.open -= 1
        self.holds -= self._queue.popleft().holds
        if self.open:
            self._begin()

    def _wait(self, error: WeftrunError) -> None:
        if not self.stuck:
            self._stands_still(str(error))
        self.stuck = "lock" if isinstance(error, JournalBusy) else "disk"
        wait_s = _AGAIN_S[min(self._tries, len(_AGAIN_S) - 1)]
        self._tries += 1
        self._loop.call_at(self._loop.now() + wait_s, self._begin)
