"""Leases of several engines against a naive Journal: renewals, looks, freezes, deaths and late replies in any order."""

from __future__ import annotations

import inspect
import math
import random
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from msgspec.structs import replace
from tests.sweeping import shared

from weftrun.machines.lease import LeaseMachine
from weftrun.model.ids import SessionUid
from weftrun.model.lease import (
    DeclareDead,
    EnterUntil,
    LeaseCommand,
    Looked,
    Owning,
    Renew,
    Renewed,
    Session,
    Ticked,
    TickLeaseAt,
)

TTL_S = 9.0
OWN = SessionUid("0" * 32)


def others(heartbeat: int, runs: int = 1, uid: str = "1" * 32) -> tuple[Session, ...]:
    """Return one other session."""
    return (Session(SessionUid(uid), "host", 1, "", TTL_S, heartbeat, runs),)


def owning(now: float = 100.0) -> LeaseMachine:
    """Return a machine whose engine has just got its first Run."""
    machine = LeaseMachine(TTL_S)
    machine.began(OWN)
    assert machine.expires_at == math.inf
    assert machine.handle(Owning(now, 1)) == [Renew(), TickLeaseAt(now + 3), EnterUntil(now + TTL_S)]
    return machine


def test_a_renewal_holds_from_when_it_was_begun() -> None:
    machine = owning()
    assert machine.handle(Ticked(103.0)) == [Renew(), TickLeaseAt(106.0)]
    assert machine.expires_at == 109.0
    assert machine.handle(Renewed(108.0, begun_at=103.5)) == [EnterUntil(112.5)]
    assert machine.handle(Renewed(108.5, begun_at=103.0)) == [EnterUntil(112.5)]


def test_a_run_that_was_claimed_is_held_from_when_its_claim_was_begun() -> None:
    machine = LeaseMachine(TTL_S)
    machine.began(OWN)
    assert machine.handle(Renewed(108.0, begun_at=100.0)) == []
    assert machine.handle(Owning(108.0, 1, is_new=False)) == [Renew(), TickLeaseAt(111.0), EnterUntil(109.0)]


def test_an_engine_without_runs_renews_nothing() -> None:
    machine = owning()
    assert machine.handle(Owning(101.0, 2)) == []
    assert machine.handle(Owning(102.0, 0)) == [EnterUntil(math.inf)]
    assert machine.handle(Ticked(103.0)) == []
    assert machine.handle(Renewed(103.0, begun_at=100.0)) == []


def test_a_fresh_lease_is_taken_up_again_without_a_renewal() -> None:
    machine = owning()
    machine.handle(Owning(101.0, 0))
    assert machine.handle(Owning(102.0, 1)) == [EnterUntil(109.0)]
    assert machine.handle(Ticked(103.0)) == [Renew(), TickLeaseAt(106.0)]


def test_a_heartbeat_that_stands_still_for_its_time_is_dead() -> None:
    machine = owning()
    assert machine.handle(Looked(200.0, 200.0, others(5))) == []
    assert machine.handle(Looked(208.9, 208.9, others(5))) == []
    assert machine.handle(Looked(209.0, 209.0, others(5))) == [DeclareDead(*others(5))]
    assert machine.handle(Looked(210.0, 210.0, others(6))) == []
    assert machine.handle(Looked(218.0, 218.0, others(6, runs=0))) == []
    assert machine.handle(Looked(219.0, 219.0, others(6))) == []


def test_a_look_that_was_slow_makes_nobody_older() -> None:
    machine = owning()
    assert machine.handle(Looked(200.0, 208.0, others(5))) == []  # the heartbeat may have been raised at 207.9
    assert machine.handle(Looked(209.0, 209.0, others(5))) == []
    assert machine.handle(Looked(216.9, 240.0, others(5))) == []  # and again at 217
    assert machine.handle(Looked(217.0, 240.0, others(5))) == [DeclareDead(*others(5))]


def test_it_looks_soon_while_nothing_tells_of_others() -> None:
    """One that comes and is killed before would be found a second or two later."""
    machine = LeaseMachine(TTL_S)
    assert machine.look_at(100.0, alone=True, listens=False, due_at=None) == 100.5
    assert machine.look_at(100.0, alone=True, listens=True, due_at=None) == 102.0
    assert machine.look_at(100.0, alone=False, listens=True, due_at=None) == 101.0
    assert machine.look_at(100.0, alone=True, listens=False, due_at=100.2) == 100.2
    assert machine.look_at(100.0, alone=True, listens=True, due_at=100.0) == 100.05


def test_an_ended_process_is_dead_at_once_and_oneself_never() -> None:
    machine = owning()
    assert machine.handle(Looked(200.0, 200.0, others(5, runs=0), frozenset({others(5)[0].uid}))) == [
        DeclareDead(*others(5, runs=0))
    ]
    assert machine.handle(Looked(200.0, 200.0, others(5, uid=OWN), frozenset({OWN}))) == []


@dataclass
class Engine:
    """One engine: its machine, and what of its work is under way."""

    machine: LeaseMachine = field(default_factory=lambda: LeaseMachine(TTL_S))
    uid: SessionUid = OWN
    runs: int = 0
    renewals: list[float] = field(default_factory=list)
    replies: list[float] = field(default_factory=list)
    asked_at: float | None = None
    claims: list[float] = field(default_factory=list)
    committed: bool = False
    told: bool = True
    look: Looked | None = None
    to_declare_dead: list[Session] = field(default_factory=list)
    tick_at: float = math.inf
    is_alive: bool = True


class SharedJournal(RuleBasedStateMachine):
    """Everything an engine does takes any time; a frozen one simply has no turn."""

    @initialize(count=st.just(2))
    def start(self, count: int) -> None:
        self.now = 1_000.0
        self.sessions: dict[SessionUid, Session] = {}
        self.owners: dict[SessionUid, Engine] = {}
        self.engines = [Engine() for _ in range(count)]
        for engine in self.engines:
            self.begin(engine)

    def begin(self, engine: Engine) -> None:
        engine.uid = SessionUid(f"{len(self.owners):032x}")
        engine.runs = 0
        engine.renewals.clear()
        engine.replies.clear()
        engine.claims.clear()
        engine.committed = False
        engine.told = True
        engine.machine.began(engine.uid)
        self.owners[engine.uid] = engine
        self.sessions[engine.uid] = Session(engine.uid, "host", 1, "", TTL_S)

    def do(self, engine: Engine, commands: list[LeaseCommand]) -> None:
        for command in commands:
            match command:
                case Renew():
                    engine.renewals.append(self.now)
                case DeclareDead():
                    assert command.session.uid != engine.uid
                    engine.to_declare_dead.append(command.session)
                case TickLeaseAt():
                    assert command.at > self.now
                    engine.tick_at = command.at
                case EnterUntil():
                    assert command.at == engine.machine.expires_at

    def of(self, which: int) -> Engine | None:
        engine = self.engines[which % len(self.engines)]
        return engine if engine.is_alive else None

    @rule(seconds=st.sampled_from((0.1, 1.0, 2.9, 3.0, 4.0, 8.0, 9.0)))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(which=st.integers(0, 1), at_once=st.booleans())
    def gets_a_run(self, which: int, at_once: bool) -> None:
        engine = self.of(which)
        if engine is not None and not engine.runs:
            engine.runs = 1
            self.do(engine, engine.machine.handle(Owning(self.now, 1, is_new=not engine.claims)))
            if not engine.renewals:
                self.commit(engine, renews=False)
            elif at_once:
                self.renew(engine, replies=True)

    @rule(which=st.integers(0, 1))
    def claims_a_run(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and not engine.claims:
            engine.claims.append(self.now)

    @rule(which=st.integers(0, 1))
    def a_claim_commits(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.claims and not engine.committed:
            before, engine.runs = engine.runs, 1
            engine.told = bool(before)
            engine.committed = self.commit(engine, renews=True)

    @rule(which=st.integers(0, 1))
    def a_claim_is_told(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.committed:
            engine.told = True
            engine.committed = False
            self.do(engine, engine.machine.handle(Renewed(self.now, engine.claims.pop())))
            self.do(engine, engine.machine.handle(Owning(self.now, 1, is_new=False)))

    @rule(which=st.integers(0, 1))
    def a_run_ends(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.runs and not engine.renewals and not engine.claims:
            engine.runs = 0
            if self.commit(engine, renews=False):
                self.do(engine, engine.machine.handle(Owning(self.now, 0)))

    @rule(which=st.integers(0, 1), replies=st.booleans())
    def a_renewal_commits(self, which: int, replies: bool) -> None:
        engine = self.of(which)
        if engine is not None and engine.renewals:
            self.renew(engine, replies=replies)

    def renew(self, engine: Engine, *, replies: bool) -> None:
        begun_at = engine.renewals.pop(0)
        if self.commit(engine, renews=True):
            engine.replies.append(begun_at)
            if replies:
                self.reply(engine)

    def commit(self, engine: Engine, *, renews: bool) -> bool:
        """A transaction of an engine: its session is looked up in it, or it is fenced."""
        session = self.sessions.get(engine.uid)
        if session is None:
            self.begin(engine)
            return False
        heartbeat = session.heartbeat + 1 if renews else session.heartbeat
        self.sessions[engine.uid] = Session(engine.uid, "host", 1, "", TTL_S, heartbeat, engine.runs)
        return True

    @rule(which=st.integers(0, 1))
    def a_reply_comes(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.replies:
            self.reply(engine)

    def reply(self, engine: Engine) -> None:
        self.do(engine, engine.machine.handle(Renewed(self.now, engine.replies.pop(0))))

    @rule(which=st.integers(0, 1))
    def a_tick_comes(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and self.now >= engine.tick_at:
            engine.tick_at = math.inf
            self.do(engine, engine.machine.handle(Ticked(self.now)))
            assert not engine.runs or not engine.told or engine.tick_at < math.inf

    @rule(which=st.integers(0, 1))
    def asks_to_look(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.asked_at is None:
            engine.asked_at = self.now

    @rule(which=st.integers(0, 1), at_once=st.sampled_from((True, True, False)))
    def looks(self, which: int, at_once: bool) -> None:
        engine = self.of(which)
        if engine is not None:
            ended = frozenset(uid for uid in self.sessions if not self.owners[uid].is_alive)
            begun_at = self.now if engine.asked_at is None else engine.asked_at
            engine.asked_at = None
            engine.look = Looked(begun_at, self.now, tuple(self.sessions.values()), ended)
            if at_once:
                self.take_look(engine)
                while engine.to_declare_dead:
                    self.declare_dead(engine)

    @rule(which=st.integers(0, 1))
    def a_look_is_taken(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.look is not None:
            self.take_look(engine)

    def take_look(self, engine: Engine) -> None:
        look, engine.look = engine.look, None
        assert look is not None
        self.do(engine, engine.machine.handle(replace(look, done_at=self.now)))

    @rule(which=st.integers(0, 1))
    def a_declaration_commits(self, which: int) -> None:
        engine = self.of(which)
        if engine is not None and engine.to_declare_dead:
            self.declare_dead(engine)

    def declare_dead(self, engine: Engine) -> None:
        seen = engine.to_declare_dead.pop(0)
        session = self.sessions.get(seen.uid)
        if session is None or session.heartbeat != seen.heartbeat:
            return
        del self.sessions[seen.uid]
        owner = self.owners[seen.uid]
        if owner.is_alive and owner.uid == seen.uid and session.runs and owner.told:
            assert owner.machine.expires_at <= self.now, "an engine was declared dead while it might still enter bodies"

    @rule(which=st.integers(0, 1), really=st.sampled_from((False, False, False, True)))
    def dies(self, which: int, really: bool) -> None:
        if really and sum(engine.is_alive for engine in self.engines) > 1:
            self.engines[which % len(self.engines)].is_alive = False

    @invariant()
    def whoever_owns_something_will_renew(self) -> None:
        for engine in getattr(self, "engines", ()):
            if engine.is_alive and engine.runs and engine.told:
                assert engine.tick_at < math.inf


TestSharedJournal = SharedJournal.TestCase
TestSharedJournal.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


STEPS = (
    "time_passes", "gets_a_run", "a_run_ends", "a_renewal_commits", "a_reply_comes", "a_tick_comes", "asks_to_look",
    "claims_a_run", "a_claim_commits", "a_claim_is_told", "looks", "looks",
    "a_look_is_taken", "a_declaration_commits", "dies",
)  # fmt: skip


@pytest.mark.parametrize("first", shared(range(0, 4_000, 1_000)))
def test_many_histories(first: int) -> None:
    """The same, drawn evenly: what goes wrong needs several steps in a row that a search seldom takes."""
    for seed in range(first, first + 1_000):
        draw = random.Random(seed)
        world = SharedJournal()
        world.start(count=2 + seed % 2)
        for _ in range(40):
            drawn = {
                "which": draw.randrange(3),
                "at_once": draw.random() < 0.7,
                "replies": draw.random() < 0.5,
                "really": draw.random() < 0.1,
                "seconds": draw.choice((0.1, 1.0, 2.9, 3.0, 4.0, 8.0)),
            }
            step = getattr(world, draw.choice(STEPS))
            step(**{name: drawn[name] for name in inspect.signature(step).parameters})
            world.whoever_owns_something_will_renew()
