"""Who leaves a queue, and when: the decision alone, and over histories of several engines, with planted bugs."""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence

import pytest
from msgspec.structs import replace

from weftrun.machines import queue as machine
from weftrun.machines.queue import Leaving, declared, full_keys, leave, limited, places
from weftrun.model.ids import RunUid
from weftrun.model.queues import KeptQueue, QueueLane, QueueLanes, QueueLimits, QueueNow, Rate

NOW = 1_000_000.0


def queue(**limits: object) -> KeptQueue:
    return KeptQueue("q", "r", QueueLimits(**limits))  # type: ignore[arg-type]


def lanes(*told: tuple[int, str, str], has_more: bool = False, is_complete: bool = True) -> QueueLanes:
    """Return lanes, whose Runs are single letters."""
    return QueueLanes(
        tuple(QueueLane(priority, key, tuple(map(RunUid, runs)), has_more) for priority, key, runs in told), is_complete
    )


def order(leaving: Leaving) -> str:
    return "".join(leaving.runs)


def now_there(kept: KeptQueue, under_way: Mapping[str, int] | None = None) -> QueueNow:
    return QueueNow(kept, under_way or {})


def test_keys_take_turns_within_a_priority() -> None:
    """However many Runs of one wait; a lower number goes before a higher one."""
    waiting = lanes((0, "z", "x"), (5, "a", "1234"), (5, "b", "5"), (5, "c", "67"))
    leaving = leave(now_there(queue()), waiting, NOW, 100)
    assert order(leaving) == "x1562734"
    assert leaving.queue.turns == ((0, "z"), (5, "a"))
    assert order(leave(now_there(queue()), waiting, NOW, 3)) == "x15"


def test_no_more_than_there_are_places() -> None:
    """Over all keys, for each key, and as many as the engine has room for; a limit that was lowered lets none begin."""
    waiting = lanes((5, "a", "1234"), (5, "b", "56"))
    assert order(leave(now_there(queue(concurrency=4), {"a": 1}), waiting, NOW, 100)) == "152"
    assert order(leave(now_there(queue(concurrency=1), {"a": 7}), waiting, NOW, 100)) == ""
    assert order(leave(now_there(queue(per_key=2), {"a": 1}), waiting, NOW, 100)) == "156"
    assert order(leave(now_there(queue(), {"a": 1}), waiting, NOW, 2)) == "15"
    assert order(leave(now_there(replace(queue(), is_paused=True)), waiting, NOW, 100)) == ""
    assert full_keys(now_there(queue(per_key=2), {"a": 2, "b": 1, "c": 5})) == ["a", "c"]


def test_it_stops_where_it_does_not_know_who_is_next() -> None:
    """And says that more may leave: of a lane whose rest was not read, and of a priority whose lanes were not all."""
    leaving = leave(now_there(queue()), lanes((5, "a", "12"), (6, "b", "3"), has_more=True), NOW, 100)
    assert (order(leaving), leaving.goes_on) == ("12", True)
    leaving = leave(now_there(queue()), lanes((5, "a", "12"), (5, "b", "3"), is_complete=False), NOW, 100)
    assert (order(leaving), leaving.goes_on) == ("13", True)
    leaving = leave(now_there(queue()), lanes((5, "a", "12"), (5, "b", "3")), NOW, 100)
    assert (order(leaving), leaving.goes_on) == ("132", False)


def test_a_rate_counts_any_window() -> None:
    """It says when the next one may begin; what began at other engines counts, also by a clock that is ahead."""
    kept = queue(rate=Rate(3, 10.0))
    waiting = lanes((5, "", "12345"))
    leaving = leave(now_there(kept), waiting, NOW, 100)
    assert (order(leaving), leaving.again_at) == ("123", NOW + 10)
    assert places(now_there(leaving.queue), NOW + 9.99, 100) == 0
    assert places(now_there(leaving.queue), NOW + 10, 100) == 3
    assert places(now_there(replace(kept, began=((NOW + 5, 2),))), NOW, 100) == 1
    assert places(now_there(replace(kept, began=((NOW + 90_000, 2),))), NOW, 100) == 3, "a clock that was set back"
    blocked = leave(now_there(leaving.queue), waiting, NOW + 1, 100)
    assert (blocked.runs, blocked.again_at, blocked.queue) == ((), NOW + 10, leaving.queue)


def test_a_rate_keeps_little_of_what_began() -> None:
    kept, at = queue(rate=Rate(1_000, 1.0)), NOW
    for _ in range(3_000):
        at += 0.002
        kept = leave(now_there(kept), lanes((5, "", "1")), at, 1).queue
    assert len(kept.began) <= 102


def test_what_an_operator_sets_stands_until_a_program_declares_something_else() -> None:
    small, large = QueueLimits(2), QueueLimits(10)
    made = declared(None, "q", small)
    assert (made.limits, made.declared) == (small, small)
    assert declared(made, "q", small) is made
    set_to = limited(made, "q", {"concurrency": 5, "length_max": 7})
    assert set_to.limits == QueueLimits(5, length_max=7)
    assert declared(set_to, "q", small) is set_to
    assert declared(set_to, "q", large).limits == large
    assert limited(None, "q", {"concurrency": 1}).limits == QueueLimits(1)


# ---------------------------------------------------------------------- histories, with an oracle


class Storage:
    """A Journal's queue in memory: each call is atomic, and a decision holds only for the revision that it was made on.

    Attributes:
        wrong: what an oracle has seen, in sentences.
    """

    def __init__(self, limits: QueueLimits) -> None:
        self.queue = KeptQueue("q", "0", limits)
        self.waiting: dict[str, deque[RunUid]] = defaultdict(deque)
        self.under_way: dict[RunUid, tuple[int, str]] = {}
        self.began: list[tuple[float, RunUid, str]] = []
        self.put_at: dict[RunUid, float] = {}
        self.passed_by: Counter[str] = Counter()
        self.wrong: list[str] = []

    def counts(self) -> dict[str, int]:
        return dict(Counter(key for _, key in self.under_way.values()))

    def begin(self, engine: int, leaving: Leaving, expected: str, now: float) -> list[RunUid]:
        """As `begin_queued`; and look whether what happens may."""
        if self.queue.revision != expected:
            return []
        self.queue = replace(leaving.queue, revision=str(int(expected) + 1))
        begun = []
        for run in leaving.runs:
            for key, runs in self.waiting.items():
                if run in runs:
                    runs.remove(run)
                    self._begun(engine, run, key, now)
                    begun.append(run)
                    break
            else:
                self.wrong.append(f"{run} begins, and does not wait")
        return begun

    def _begun(self, engine: int, run: RunUid, key: str, now: float) -> None:
        limits = self.queue.limits
        self.under_way[run] = engine, key
        self.began.append((now, run, key))
        if limits.concurrency is not None and len(self.under_way) > limits.concurrency:
            self.wrong.append(f"{len(self.under_way)} are under way, of {limits.concurrency}")
        if limits.per_key is not None and self.counts()[key] > limits.per_key:
            self.wrong.append(f"{self.counts()[key]} of {key} are under way, of {limits.per_key}")
        if limits.rate is not None:
            recent = sum(1 for at, _, _ in self.began if at > now - limits.rate.per_s)
            if recent > limits.rate.starts:
                self.wrong.append(f"{recent} began within {limits.rate.per_s} s")
        for other, runs in self.waiting.items():  # whoever came since the decision was made is not passed by
            if other != key and runs and limits.per_key is None and self.put_at[runs[0]] <= now:
                self.passed_by[f"{other} by {key}"] += 1
                if self.passed_by[f"{other} by {key}"] > 2:
                    self.wrong.append(f"{key} has a third turn while {other} waits")
        for pair in list(self.passed_by):
            if pair.startswith(f"{key} by "):
                del self.passed_by[pair]

    def lanes(self, skip: Sequence[str], most: int) -> QueueLanes:
        last = dict(self.queue.turns).get(5)
        keys = sorted(key for key, runs in self.waiting.items() if runs)
        ring = [key for key in keys if last is None or key > last] + [k for k in keys if last is not None and k <= last]
        wanted = [key for key in ring if key not in skip]
        each = -(-2 * most // max(1, min(most, len(wanted))))
        found = [QueueLane(5, k, tuple(self.waiting[k])[:each], len(self.waiting[k]) >= each) for k in wanted[:most]]
        return QueueLanes(tuple(found), len(wanted) <= most)


Decide = Callable[[Storage, float, int], tuple[Leaving, str]]
Ends = Callable[[Storage, RunUid], None]


def decide(storage: Storage, now: float, room: int) -> tuple[Leaving, str]:
    """As an engine does, which may be interrupted between any two of these: see `history`."""
    there = QueueNow(storage.queue, storage.counts())
    waiting = storage.lanes(full_keys(there), max(1, places(there, now, room)))
    return leave(there, waiting, now, room), there.queue.revision


class History:
    """Three engines take Runs out, end them and die, and a program puts new ones there, in an order by chance.

    A decision is made at one moment and written at another one; what a dead engine had goes on elsewhere.
    """

    def __init__(self, seed: int, decides: Decide, ends: Ends) -> None:
        self.chance = chance = random.Random(seed)
        rate = Rate(chance.randint(1, 6), 1.0) if chance.random() < 0.4 else None
        self.limits = QueueLimits(chance.choice([None, 1, 3, 8]), chance.choice([None, 1, 2]), rate)
        self.storage = Storage(self.limits)
        self.decides = decides
        self.ends = ends
        self.decided: dict[int, tuple[float, Leaving, str]] = {}
        self.now = NOW
        self.made = 0

    def play(self) -> Storage:
        storage, acts = self.storage, (self.put, self.decide, self.decide, self.write, self.write, self.end)
        while self.made < 120 or any(storage.waiting.values()) or storage.under_way:
            self.now += self.chance.random() * 0.02
            rare = self.chance.random()
            (self.die if rare > 0.98 else self.lower if rare > 0.97 else self.chance.choice(acts))()
            if self.now > NOW + 400:
                storage.wrong.append("Runs wait for ever")
                break
        if sorted(run for _, run, _ in storage.began) != sorted(RunUid(f"r{n}") for n in range(self.made)):
            storage.wrong.append("a Run was lost, or began twice")
        return storage

    def put(self) -> None:
        for _ in range(self.chance.randint(1, 4) if self.made < 120 else 0):
            run = RunUid(f"r{self.made}")
            self.storage.put_at[run] = self.now
            self.storage.waiting[self.chance.choice("aaaabcd")].append(run)
            self.made += 1

    def decide(self) -> None:
        room = self.chance.choice([1, 4, 20])
        self.decided[self.chance.randrange(3)] = (self.now, *self.decides(self.storage, self.now, room))

    def write(self) -> None:
        if self.decided:
            engine = self.chance.choice(list(self.decided))
            at, leaving, expected = self.decided.pop(engine)
            if leaving.runs:  # a rate goes by the time of the decision
                self.storage.begin(engine, leaving, expected, at)

    def end(self) -> None:
        if self.storage.under_way:
            self.ends(self.storage, self.chance.choice(list(self.storage.under_way)))

    def die(self) -> None:
        dead = self.chance.randrange(3)
        for run, (engine, key) in self.storage.under_way.items():
            if engine == dead:
                self.storage.under_way[run] = (dead + 1) % 3, key

    def lower(self) -> None:
        kept = self.storage.queue
        lowered = replace(self.limits, concurrency=self.chance.randint(1, 4))
        self.storage.queue = replace(kept, revision=str(int(kept.revision) + 1), limits=lowered)


def gives_back(storage: Storage, run: RunUid) -> None:
    del storage.under_way[run]


def history(seed: int, decides: Decide = decide, ends: Ends = gives_back) -> Storage:
    return History(seed, decides, ends).play()


@pytest.mark.parametrize("seed", range(12))
def test_histories_of_several_engines(seed: int) -> None:
    """Never more than a limit, no Run lost or begun twice, and no key has two turns more than one that waits."""
    assert history(seed).wrong == []


def stale(storage: Storage, now: float, room: int) -> tuple[Leaving, str]:
    """Planted: what is under way is counted before the revision is read, as it was at the last decision."""
    counted = getattr(storage, "counted", {})
    there = QueueNow(storage.queue, counted)
    storage.counted = storage.counts()  # type: ignore[attr-defined]
    waiting = storage.lanes(full_keys(there), max(1, places(there, now, room)))
    return leave(there, waiting, now, room), there.queue.revision


def unchecked(storage: Storage, now: float, room: int) -> tuple[Leaving, str]:
    """Planted: a decision is written whatever has changed since, so that a place is given twice."""
    leaving, _ = decide(storage, now, room)

    class Any(str):
        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

    return leaving, Any("0")


def keeps_its_place(storage: Storage, run: RunUid) -> None:
    """Planted: a Run that has ended keeps its place."""


def unfair(storage: Storage, now: float, room: int) -> tuple[Leaving, str]:
    """Planted: who was served last is forgotten."""
    storage.queue = replace(storage.queue, turns=())
    return decide(storage, now, room)


def found(decides: Decide = decide, ends: Ends = gives_back) -> bool:
    return any(history(seed, decides, ends).wrong for seed in range(6))


@pytest.mark.parametrize("planted", [stale, unchecked, unfair])
def test_planted_bugs_are_found(planted: Decide) -> None:
    assert found(planted)


def test_a_place_that_is_not_given_back_is_found() -> None:
    assert found(ends=keeps_its_place)


def test_a_rate_that_forgets_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what began is counted for half of the period only."""
    recent = machine._recent

    def half(kept: KeptQueue, now: float) -> tuple[tuple[float, int], ...]:
        rate = kept.limits.rate
        return tuple(pair for pair in recent(kept, now) if rate is None or pair[0] > now - rate.per_s / 2)

    monkeypatch.setattr(machine, "_recent", half)
    assert found()
