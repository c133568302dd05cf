"""What the members of a group share: messages, a barrier and locks; and how it stands with each of them.

Members are threads of one process, in one Attempt. So nothing of a group outlives its call, and a member that dies is
known at once: whoever waits for it, and could wait for ever, is told. Messages are taken from a member that is named,
in the order in which it has sent them, so that members who only send and take do the same whenever they run.
Source of the verbs: MPI 4.1, chapters 3 and 6 (point to point, and collective communication).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

MEMBERS_MAX: Final = 64
UNREAD_BYTES_MAX: Final = 16 << 20
"""So much may wait to be taken of one member by another; who sends more waits."""


class GroupEnded(Exception):
    """The group can't go on; the text says why."""


class _Waits(NamedTuple):
    """What a member waits for, as a question and in words."""

    is_there: Callable[[], bool]
    told: str


class Group:
    """Members that wait for one another.

    Attributes:
        size: how many there are.
        failed: the first member that has failed; None while none has.
    """

    def __init__(self, size: int) -> None:
        """Begin with `size` members, all of which run."""
        self.size = size
        self.failed: int | None = None
        self._why = ""
        self._changed = threading.Condition()
        self._runs = set(range(size))
        self._waits: dict[int, _Waits] = {}
        self._unread: dict[tuple[int, int], deque[bytes]] = {}
        self._arrived: set[int] = set()
        self._passed = 0
        self._holders: dict[int, int] = {}

    def send(self, rank: int, to: int, data: bytes, until: float) -> None:
        """Hand a message over; wait while too much of what was sent before is not taken yet."""
        self._check(to)
        with self._changed:
            unread = self._unread.setdefault((rank, to), deque())
            told = f"{rank} waits until {to} takes what it was sent"
            self._wait(rank, lambda: not unread or sum(map(len, unread)) + len(data) <= UNREAD_BYTES_MAX, told, until)
            unread.append(data)
            self._changed.notify_all()

    def next_nbytes(self, rank: int, source: int, until: float) -> int:
        """Wait for a message of a member; return how long it is, and leave it there."""
        with self._changed:
            return len(self._awaited(rank, source, until)[0])

    def receive(self, rank: int, source: int, nbytes_max: int, until: float) -> bytes:
        """Wait for a message of a member, and take it.

        Raises:
            GroupEnded: it is longer than `nbytes_max`, and stays there.
        """
        with self._changed:
            unread = self._awaited(rank, source, until)
            if len(unread[0]) > nbytes_max:
                raise GroupEnded(f"a message of {len(unread[0]):,} bytes was to be put where {nbytes_max:,} are")
            self._changed.notify_all()
            return unread.popleft()

    def barrier(self, rank: int, until: float) -> None:
        """Wait until all members are here."""
        with self._changed:
            self._arrived.add(rank)
            passed = self._passed
            if len(self._arrived) == self.size:
                self._passed += 1
                self._arrived.clear()
                self._changed.notify_all()
            self._wait(rank, lambda: self._passed > passed, f"{rank} waits at the barrier", until)

    def lock(self, rank: int, number: int, until: float) -> None:
        """Wait for a lock.

        Raises:
            GroupEnded: the member has it already.
        """
        with self._changed:
            if self._holders.get(number) == rank:
                raise GroupEnded(f"the member {rank} takes the lock {number}, which it has")
            self._wait(rank, lambda: number not in self._holders, f"{rank} waits for the lock {number}", until)
            self._holders[number] = rank

    def unlock(self, rank: int, number: int) -> None:
        """Give a lock back.

        Raises:
            GroupEnded: the member does not have it.
        """
        with self._changed:
            if self._holders.get(number) != rank:
                raise GroupEnded(f"the member {rank} gives the lock {number} back, which it does not have")
            del self._holders[number]
            self._changed.notify_all()

    def ended(self, rank: int, failure: str = "") -> None:
        """Say that a member has ended, which gives its locks back; where it has failed, the whole group has."""
        with self._changed:
            self._runs.discard(rank)
            for number in [one for one, holder in self._holders.items() if holder == rank]:
                del self._holders[number]
            if failure and self.failed is None:
                self.failed, self._why = rank, failure
            self._find_deadlock()
            self._changed.notify_all()

    # ------------------------------------------------------------------ waiting, with the condition held

    def _awaited(self, rank: int, source: int, until: float) -> deque[bytes]:
        self._check(source)
        unread = self._unread.setdefault((source, rank), deque())
        self._wait(rank, lambda: bool(unread), f"{rank} waits for a message of {source}", until)
        return unread

    def _wait(self, rank: int, is_there: Callable[[], bool], told: str, until: float) -> None:
        self._waits[rank] = _Waits(is_there, told)
        try:
            self._find_deadlock()
            while True:
                if self._why:
                    raise GroupEnded(self._why)
                if is_there():
                    return
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise GroupEnded(f"its time was over while {told}")
                self._changed.wait(left_s)
        finally:
            del self._waits[rank]

    def _find_deadlock(self) -> None:
        """Let the group fail where each member that runs waits for what no other one can do."""
        waits = [self._waits.get(rank) for rank in sorted(self._runs)]
        if not waits or self._why or any(one is None or one.is_there() for one in waits):
            return
        ended = sorted(set(range(self.size)) - self._runs)
        rest = f"; {', '.join(map(str, ended))} ended" if ended else ""
        self._why = f"no member can go on: {', '.join(one.told for one in waits if one is not None)}{rest}"
        self._changed.notify_all()

    def _check(self, rank: int) -> None:
        if not 0 <= rank < self.size:
            raise GroupEnded(f"the group has the members 0 to {self.size - 1}, and no member {rank}")


class Member(NamedTuple):
    """A member of a group, by its number."""

    group: Group
    rank: int
