"""Who leaves a queue next: each decision is one change of its row in the Journal, which one engine makes.

Within a priority, keys take turns (round robin): between two Runs of one key every other key that waits has one. A
decision is made on what was read, and holds only if nobody else has changed the queue since; whoever ends only makes
room. So there are never more Runs under way than a limit allows, whichever engines decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from msgspec import Struct
from msgspec.structs import replace

from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, QueueLane, QueueLanes, QueueLimits, QueueNow
from weftrun.model.records import Row, queue_of

_SET_BACK_S = 3600.0
"""What began later than this from now was noted by a clock that has been set back since, in seconds."""
_TOLD_S = 1.0
"""A Run's story tells of longer waits in its queue, in seconds."""
_SHARES = 100
"""What begins within one such share of a rate's period is kept together."""


class Leaving(Struct, frozen=True):
    """What a decision lets go.

    Attributes:
        queue: as it is after it; the same one where nothing leaves.
        runs: they begin, in this order.
        goes_on: whether more may leave that was not read for this decision.
        again_at: when the rate lets the next one go; None where it stands in nobody's way.
    """

    queue: KeptQueue
    runs: tuple[RunUid, ...] = ()
    goes_on: bool = False
    again_at: float | None = None


def places(now_there: QueueNow, now: float, room: int) -> int:
    """Return how many Runs may leave a queue now, of all keys together.

    Args:
        room: how many the engine that asks has room for.
    """
    queue, limits = now_there.queue, now_there.queue.limits
    if queue.is_paused:
        return 0
    left = room
    if limits.concurrency is not None:
        left = min(left, limits.concurrency - sum(now_there.under_way.values()))
    if limits.rate is not None:
        left = min(left, limits.rate.starts - sum(count for _, count in _recent(queue, now)))
    return max(0, left)


def full_keys(now_there: QueueNow) -> list[str]:
    """Return the keys that have as many Runs under way as they may."""
    most = now_there.queue.limits.per_key
    return [] if most is None else [key for key, count in now_there.under_way.items() if count >= most]


def leave(now_there: QueueNow, lanes: QueueLanes, now: float, room: int) -> Leaving:
    """Return who leaves a queue now.

    Args:
        lanes: who waits, without keys that are full.
        now: by the engine's clock, in seconds since the epoch.
        room: how many Runs the engine has room for.
    """
    queue = now_there.queue
    wanted = places(now_there, now, room)
    turns = _Turns(now_there, wanted)
    knows_all = True
    levels = [list(level) for _, level in groupby(lanes.lanes, lambda lane: lane.priority)]
    for n, level in enumerate(levels):
        is_whole = lanes.is_complete or n < len(levels) - 1
        if not turns.serve(level, rounds=None if is_whole else 1):
            knows_all = False
            break
        knows_all = knows_all and is_whole
    if not turns.runs:
        return Leaving(queue, again_at=_again_at(queue, now))
    began = _recent(queue, now) if queue.limits.rate is not None else ()
    after = replace(
        queue,
        turns=tuple(sorted(turns.last.items())),
        began=_noted(began, now, len(turns.runs), queue.limits),
    )
    return Leaving(after, tuple(turns.runs), not knows_all and len(turns.runs) < wanted, _again_at(after, now))


class _Turns:
    """Gives keys their turns.

    Attributes:
        runs: those that leave, so far.
        last: of each priority, the key that was served last.
    """

    def __init__(self, now_there: QueueNow, wanted: int) -> None:
        self.runs: list[RunUid] = []
        self.last = dict(now_there.queue.turns)
        self._wanted = wanted
        self._most = now_there.queue.limits.per_key
        self._under_way = dict(now_there.under_way)

    def serve(self, level: Sequence[QueueLane], *, rounds: int | None) -> bool:
        """Serve the lanes of one priority in rounds; say whether all is known of who comes after them.

        Args:
            rounds: so many at most, since there are lanes behind these that were not read; None serves all.
        """
        turn = 0
        while rounds is None or turn < rounds:
            served = False
            for lane in level:
                if len(self.runs) == self._wanted:
                    return True
                if self._is_full(lane.key):
                    continue
                if turn < len(lane.runs):
                    self._serve(lane, turn)
                    served = True
                elif lane.has_more:
                    return False
            if not served:
                return True
            turn += 1
        return False

    def _is_full(self, key: str) -> bool:
        return self._most is not None and self._under_way.get(key, 0) >= self._most

    def _serve(self, lane: QueueLane, turn: int) -> None:
        self.runs.append(lane.runs[turn])
        self.last[lane.priority] = lane.key
        self._under_way[lane.key] = self._under_way.get(lane.key, 0) + 1


def _recent(queue: KeptQueue, now: float) -> tuple[tuple[float, int], ...]:
    """Return what began so lately that the rate counts it, by a clock that may differ from those of other engines."""
    rate = queue.limits.rate
    if rate is None:
        return ()
    return tuple((min(at, now), count) for at, count in queue.began if now - rate.per_s < at <= now + _SET_BACK_S)


def _noted(
    began: Iterable[tuple[float, int]], now: float, count: int, limits: QueueLimits
) -> tuple[tuple[float, int], ...]:
    """Return what is kept for the rate: what is close together as one, noted for the later time."""
    if limits.rate is None:
        return ()
    kept, share_s = list(began), limits.rate.per_s / _SHARES
    if kept and kept[-1][0] // share_s == now // share_s:
        count += kept.pop()[1]
    return (*kept, (now, count))


def _again_at(queue: KeptQueue, now: float) -> float | None:
    """Return when the rate lets more go than now; None where it does so already."""
    rate = queue.limits.rate
    recent = _recent(queue, now)
    if rate is None or not recent or sum(count for _, count in recent) < rate.starts:
        return None
    return recent[0][0] + rate.per_s


def left_queue(row: Row, now: float) -> str:
    """Return the sentence on how long a Run was in its queue; empty where that was no time worth telling of."""
    waited_s = now - row.at
    return f"It left the queue {queue_of(row.records)} after {waited_s:,.1f} s." if waited_s >= _TOLD_S else ""


def declared(before: KeptQueue | None, name: str, limits: QueueLimits) -> KeptQueue:
    """Return a queue after a program has said what it is limited to; the same one where it had said so before."""
    if before is None:
        return KeptQueue(name, "", limits, limits)
    if before.declared == limits:
        return before
    return replace(before, limits=limits, declared=limits)


def limited(before: KeptQueue | None, name: str, changes: Mapping[str, object]) -> KeptQueue:
    """Return a queue with limits that an operator has set; None as a value takes one away."""
    before = before or KeptQueue(name, "")
    return replace(before, limits=replace(before.limits, **changes))
