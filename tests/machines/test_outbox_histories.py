"""Whatever happens between outbox, engines and sink: no emit is lost, doubled or out of its order (E2).

Engines are stopped at any point and go on later, also after another one has taken their sink; sends fail before or
after they arrive. The outbox here is a list under the rules of its port.
"""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from weftrun.machines.outbox import OutboxMachine
from weftrun.model.emits import DeliveryStatus, Parcel, Take, Verdict
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outbox import (
    Answer,
    Answered,
    DeliverEmits,
    Fenced,
    Note,
    Noted,
    OutboxCommand,
    OutboxEvent,
    OutboxTick,
    OutboxTickAt,
    Result,
    Took,
    Woken,
)

LIMITS = Limits(outbox_batch_max=4, outbox_wait_s=5.0)
PARKED = (DeliveryStatus.UNKNOWN, DeliveryStatus.REFUSED)


class Outbox:
    """The rows, and which engine owns the sink."""

    def __init__(self, keys: list[str | None]) -> None:
        self.rows = {
            place: Parcel(place, RunId("r"), RunUid("u"), StepId("s"), place, "orders", b"", "t", key, 0.0)
            for place, key in enumerate(keys, 1)
        }
        self.delivery_status = dict.fromkeys(self.rows, DeliveryStatus.WAITING)
        self.owner: int | None = None
        self.marked: dict[int, tuple[int, float]] = {}

    def sendable(self) -> list[Parcel]:
        parked = [(p.order_by, p.place) for p in self.rows.values() if self.delivery_status[p.place] in PARKED]
        return [
            row
            for place, row in self.rows.items()
            if self.delivery_status[place] is DeliveryStatus.WAITING
            and not any(key is not None and key == row.order_by and before < place for key, before in parked)
        ]

    def take(self, engine: int, take: Take) -> tuple[tuple[Parcel, ...], bool]:
        if self.owner not in (None, engine):
            return (), False
        rows = [r for r in self.sendable() if r.order_by not in take.skip_keys and r.place not in take.skip_places]
        rows = rows[: take.limit]
        for row in rows:
            if take.mark_at is not None and row.tried_at is None:
                self.rows[row.place] = replace(row, tried_at=take.mark_at)
                self.marked[row.place] = (engine, take.mark_at)
        self.owner = engine if self.sendable() else None
        own = [row.place for row in rows if self.marked.get(row.place) == (engine, take.mark_at)]
        return tuple(replace(row, tried_at=None) if row.place in own else row for row in rows), self.owner == engine

    def settle(self, engine: int, verdicts: tuple[Verdict, ...]) -> bool:
        if self.owner != engine:
            return False
        for verdict in verdicts:
            assert self.delivery_status[verdict.place] is DeliveryStatus.WAITING
            self.delivery_status[verdict.place] = verdict.delivery_status
            if verdict.untried:
                self.rows[verdict.place] = replace(self.rows[verdict.place], tried_at=None)
        self.owner = engine if self.sendable() else None
        return self.owner == engine


class Sink:
    """Drops doubles for a while; remembers what arrived, and which of it a reader sees."""

    def __init__(self, dedupes_for_s: float) -> None:
        self.dedupes_for_s = dedupes_for_s
        self.known: dict[int, float] = {}
        self.seen: list[Parcel] = []

    def arrive(self, parcel: Parcel, now: float) -> None:
        known_at = self.known.get(parcel.place, -math.inf)
        if now - known_at >= self.dedupes_for_s:
            self.known[parcel.place] = now
            self.seen.append(parcel)


class Engine:
    """A machine and what it has under way."""

    def __init__(self, number: int, world: World) -> None:
        self.number = number
        self.world = world
        self.machine = self.new()
        self.under_way: OutboxCommand | None = None
        self.late: DeliverEmits | None = None
        self.told_at = 0.0
        self.tick_at: float | None = None
        self.wants_wake = True

    def new(self) -> OutboxMachine:
        return OutboxMachine("orders", LIMITS, dedupes_for_s=self.world.sink.dedupes_for_s, keeps_order=True)

    def tell(self, event: OutboxEvent) -> None:
        for command in self.machine.handle(event):
            if isinstance(command, OutboxTickAt):
                self.tick_at = command.at
            else:
                assert self.under_way is None, "one thing at a time"
                self.under_way = command
                self.told_at = self.world.now

    def crash(self) -> None:
        """Everything is lost but what is in the outbox; others see the session go."""
        if self.world.outbox.owner == self.number:
            self.world.outbox.owner = None
        self.machine = self.new()
        self.number += 10  # another session
        self.under_way = self.tick_at = self.late = None
        self.wants_wake = True

    def fence(self) -> None:
        """It is taken for dead: what it asked of the outbox is nothing; what it sends, it may send late."""
        if self.world.outbox.owner == self.number:
            self.world.outbox.owner = None
        if isinstance(self.under_way, DeliverEmits):
            # Between its last look at the Lease and the sending: only a sink that knows for ever bears any delay.
            self.late = self.under_way if self.world.sink.dedupes_for_s == math.inf else DeliverEmits((), 0.0)
        self.under_way = None
        self.number += 10  # another session
        self.tell(Fenced(self.world.now))

    def step(self, draw: st.DrawFn) -> None:
        """Go on by one thing."""
        now = self.world.now
        if self.late is not None:
            late, self.late = self.late, None
            self.tell(Answered(now, self._send(late, draw), 0.0))
            return
        command, self.under_way = self.under_way, None
        match command:
            case Take():
                parcels, owned = self.world.outbox.take(self.number, command)
                self.tell(Took(now, parcels, owned))
            case DeliverEmits():
                self.tell(Answered(now, self._send(command, draw), 0.0))
            case Note():
                self.tell(Noted(now, self.world.outbox.settle(self.number, command.verdicts)))
            case _ if self.wants_wake:
                self.wants_wake = False
                self.tell(Woken(now))
            case _ if self.tick_at is not None and self.tick_at <= now:
                self.tick_at = None
                self.tell(OutboxTick(now))
            case _:
                if self.world.outbox.owner is None and self.world.outbox.sendable():
                    self.tell(Woken(now))

    def _send(self, deliver: DeliverEmits, draw: st.DrawFn) -> tuple[Result, ...]:
        results: list[Result] = []
        stopped: set[str] = set()
        for parcel in deliver.parcels:
            may_begin = self.world.now < self.told_at + deliver.within_s or self.world.sink.dedupes_for_s == math.inf
            if parcel.order_by in stopped or not may_begin:
                results.append(Result(Answer.UNSENT))
                continue
            fate = draw(st.sampled_from(["ok", "ok", "ok", "lost", "no answer"])) if self.world.troubled else "ok"
            if fate != "lost":
                self.world.sink.arrive(parcel, self.world.now)
            answer = {"ok": Answer.DELIVERED, "lost": Answer.FAILED, "no answer": Answer.UNSURE}[fate]
            results.append(Result(answer))
            if answer is not Answer.DELIVERED and parcel.order_by is not None:
                stopped.add(parcel.order_by)
        return tuple(results)


class World:
    def __init__(self, keys: list[str | None], dedupes_for_s: float) -> None:
        self.now = 1_000.0
        self.sink = Sink(dedupes_for_s)
        self.outbox = Outbox(keys)
        self.troubled = True
        self.engines = [Engine(number, self) for number in (1, 2)]


@given(
    keys=st.lists(st.sampled_from([None, "a", "b"]), min_size=1, max_size=8),
    dedupes_for_s=st.sampled_from([math.inf, 100.0, 0.0]),
    data=st.data(),
)
def test_delivered_once_in_order_and_none_lost(
    keys: list[str | None], dedupes_for_s: float, data: st.DataObject
) -> None:
    world = World(keys, dedupes_for_s)

    def draw(strategy: st.SearchStrategy[str]) -> str:
        return data.draw(strategy)

    for _ in range(data.draw(st.integers(0, 40))):
        what = data.draw(st.sampled_from(["step", "step", "step", "crash", "fence", "wait"]))
        engine = data.draw(st.sampled_from(world.engines))
        if what == "step":
            engine.step(draw)
        elif what == "crash":
            engine.crash()
        elif what == "fence":
            engine.fence()
        else:
            world.now += data.draw(st.sampled_from([0.1, 10.0, 200.0]))
    world.troubled = False
    for _ in range(400):
        world.now += 0.5
        for engine in world.engines:
            engine.step(draw)
    delivery_statuses = set(world.outbox.delivery_status.values())
    assert DeliveryStatus.WAITING not in {world.outbox.delivery_status[p.place] for p in world.outbox.sendable()}
    assert delivery_statuses <= {DeliveryStatus.DELIVERED, DeliveryStatus.UNKNOWN, DeliveryStatus.WAITING}
    seen = [parcel.place for parcel in world.sink.seen]
    assert len(seen) == len(set(seen)), "a double came through"
    delivered = {
        place
        for place, delivery_status in world.outbox.delivery_status.items()
        if delivery_status is DeliveryStatus.DELIVERED
    }
    assert delivered <= set(seen)
    if dedupes_for_s == math.inf:
        assert delivered == set(world.outbox.rows), "an emit was lost"
    for key in ("a", "b"):
        of_key = [parcel.place for parcel in world.sink.seen if parcel.order_by == key]
        assert of_key == sorted(of_key), "out of order"
