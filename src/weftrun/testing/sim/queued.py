"""Queues in a simulated world: what is drawn of them, what really became of their Runs, and what must not.

The register knows who waited and who was under way from what the Journal was told and did, and asks no engine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, NotQueued, QueueEntry, QueueLimits, QueueOptions, Rate
from weftrun.model.records import Enqueued, Row
from weftrun.testing.sim.chance import Chance

QUEUE = "line"
_NOTED_TWICE = 0.02
"""What a rate keeps as one may be noted later than it began, by this share of its period."""


@dataclass(frozen=True)
class _Standing:
    """A Run in its queue: where it stands, and since when."""

    entry: QueueEntry
    since: float
    place: int


@dataclass
class _QueueFacts:
    """What is known of one queue.

    Attributes:
        changed_at: when its row got the revision that it has.
        before: how many Runs of each key were under way then.
        waiting: who has not left it; `under_way`, with the key of each, who has, and has not ended.
        began: when each Run left, as the engine noted it that let it.
    """

    kept: KeptQueue | None = None
    changed_at: float = 0.0
    before: Counter[str] = field(default_factory=Counter)
    waiting: dict[RunUid, _Standing] = field(default_factory=dict)
    under_way: dict[RunUid, str] = field(default_factory=dict)
    began: list[float] = field(default_factory=list)


class QueueRegister:
    """Facts of all queues of a world, told by the layer over each engine's Journal.

    Attributes:
        broken: what must not have happened, as sentences.
        left: which engine let each Run leave its queue, by the number of its process.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        """Begin without a queue."""
        self.broken: list[str] = []
        self.left: dict[RunUid, int] = {}
        self._now = now
        self._lines: dict[str, _QueueFacts] = {}
        self._places = 0
        self._came: set[RunUid] = set()

    def line(self, name: str) -> _QueueFacts:
        """Return what is known of a queue."""
        return self._lines.setdefault(name, _QueueFacts())

    def changed(self, queue: KeptQueue, expected: str) -> None:
        """A queue's row was changed; what was decided on another revision than was there is wrong."""
        line = self.line(queue.name)
        if line.kept is not None and line.kept.revision == queue.revision:
            return  # said again
        if (line.kept.revision if line.kept is not None else "") != expected:
            self.broken.append("queue: a change was made to a revision that was not there any more")
        line.kept, line.changed_at, line.before = queue, self._now(), Counter(line.under_way.values())

    def enqueued(self, rows: Sequence[Row], refused: Mapping[RunUid, NotQueued]) -> list[Row]:
        """Runs were put into queues; return the rows of those that are new."""
        new = []
        for row in rows:
            entry = next(record.entry for record in row.records if isinstance(record, Enqueued))
            line = self.line(entry.queue)
            if row.uid in refused or row.uid in self._came:
                continue  # the latter said again, though it may be out of its queue by now
            self._came.add(row.uid)
            self._places += 1
            line.waiting[row.uid] = _Standing(entry, self._now(), self._places)
            new.append(row)
            most = line.kept.limits.length_max if line.kept is not None else None
            if most is not None and len(line.waiting) > most:
                self.broken.append(f"queue: {len(line.waiting)} Runs wait, and {most} may")
        return new

    def taken_out(self, uid: RunUid) -> bool:
        """A Run is to be cancelled; say whether it had waited in a queue, and is out of it."""
        return any(line.waiting.pop(uid, None) is not None for line in self._lines.values())

    def purged(self, name: str) -> list[RunUid]:
        """All Runs that wait in a queue are to be cancelled; return them."""
        return [uid for uid in list(self.line(name).waiting) if self.taken_out(uid)]

    def ended(self, uid: RunUid) -> None:
        """A Run is over, and gives its place back."""
        for line in self._lines.values():
            line.under_way.pop(uid, None)

    def began(self, engine: int, queue: KeptQueue, uids: Sequence[RunUid]) -> list[RunUid]:
        """Runs have left a queue for an engine; return those that had not before the reply was lost.

        To be told before `changed`.
        """
        line = self.line(queue.name)
        new = []
        for uid in uids:
            if self.left.get(uid) == engine:
                continue
            if uid in self.left:
                self.broken.append(f"queue: {uid[:6]} left for engine {engine}, and had left for {self.left[uid]}")
                continue
            new.append(uid)
        if new:
            self._check(line, queue, new)
        for uid in new:
            entry = line.waiting.pop(uid, None)
            self.left[uid] = engine
            if entry is not None:
                line.under_way[uid] = entry.entry.key
        return new

    def _check(self, line: _QueueFacts, queue: KeptQueue, new: Sequence[RunUid]) -> None:
        """Note what these Runs may not have left for."""
        if line.kept is not None and line.kept.is_paused:
            self.broken.append("queue: a Run left a queue that is paused")
        leaving = {uid: line.waiting[uid] for uid in new if uid in line.waiting}
        self.broken += [f"queue: {uid[:6]} left, and did not wait" for uid in new if uid not in leaving]
        limits, keys = queue.limits, Counter(entry.entry.key for entry in leaving.values())
        there = Counter(line.under_way.values()) + keys
        if limits.concurrency is not None and there.total() > limits.concurrency:
            self.broken.append(f"queue: {there.total()} Runs are under way, and {limits.concurrency} may be")
        for key in keys:
            if limits.per_key is not None and there[key] > limits.per_key:
                self.broken.append(f"queue: {there[key]} Runs of {key!r} are under way, and {limits.per_key} may be")
        for uid, entry in leaving.items():
            if entry.entry.starts_at > self._now():
                self.broken.append(f"queue: {uid[:6]} left {entry.entry.starts_at - self._now():.3f} s too early")
            self._check_order(line, uid, entry, leaving, limits, keys)
        self._check_rate(line, queue, len(new))

    def _check_order(
        self,
        line: _QueueFacts,
        uid: RunUid,
        entry: _Standing,
        leaving: Mapping[RunUid, _Standing],
        limits: QueueLimits,
        keys: Counter[str],
    ) -> None:
        """Note who stood before a Run that left, was seen by whoever decided, and stayed though its key had places."""
        for other, ahead in line.waiting.items():
            if other in leaving or ahead.since >= line.changed_at or ahead.entry.starts_at:
                continue
            key = ahead.entry.key
            has_place = limits.per_key is None or line.before[key] + keys[key] < limits.per_key
            is_first = ahead.entry.priority < entry.entry.priority or (
                (ahead.entry.priority, key) == (entry.entry.priority, entry.entry.key)
                and ahead.place < entry.place
                and not entry.entry.starts_at
            )
            if is_first and has_place:
                self.broken.append(f"queue: {uid[:6]} left before {other[:6]}, which stood before it")

    def _check_rate(self, line: _QueueFacts, queue: KeptQueue, count: int) -> None:
        rate = queue.limits.rate
        if rate is None or not queue.began:
            return
        at = queue.began[-1][0]
        line.began += [at] * count
        within = [then for then in line.began if at - rate.per_s * (1 - _NOTED_TWICE) < then <= at]
        if len(within) > rate.starts:
            self.broken.append(f"queue: {len(within)} Runs began within {rate.per_s:g} s, and {rate.starts} may")


def draw_limits(chance: Chance) -> QueueLimits:
    """Draw what a queue is limited to."""
    return QueueLimits(
        concurrency=chance.one_of((None, 1, 1, 2, 3)),
        per_key=chance.one_of((None, None, 1, 2)),
        rate=chance.one_of((None, None, None, Rate(2, 0.5))),
        length_max=chance.one_of((None, None, 2, 4)),
    )


def draw_asked(chance: Chance, limits: QueueLimits) -> QueueOptions:
    """Draw how one Run stands in the queue."""
    entry = QueueEntry(QUEUE, chance.one_of(("", "a", "b")), chance.one_of((5, 5, 1, 9)))
    return QueueOptions(entry, chance.one_of((0.0, 0.0, 0.0, 0.05, 0.5)), limits)
