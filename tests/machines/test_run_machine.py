"""The machine of a Run against a naive model: random graphs, any order of outcomes and commits, crashes at any time."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from weftrun.machines.run import RunMachine
from weftrun.model.commands import Append, Deliver, End, EnterBody, Invoke, InvokeItems, LeaveBody, Revoke, WakeAt
from weftrun.model.events import (
    AttemptsEnded,
    BodyLost,
    BodyMade,
    BodyReturned,
    CancelCame,
    Committed,
    ItemsEnded,
    Resumed,
    TimeCame,
)
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import RunId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason
from weftrun.model.policy import Bundle, FunctionSpec, Kind, RetryPolicy
from weftrun.model.records import ItemsSettled, Row, Settled, Started
from weftrun.model.values import Inline, Payload, RefTo
from weftrun.testing.closure import closure_violations

UID = RunUid("0" * 32)
FUNCTIONS = tuple(
    FunctionSpec(
        f"m:{label}", label, effects=effects, deterministic=sure, checkpoint=checkpoint, retry=RetryPolicy(1, 1.0)
    )
    for label, effects, sure, checkpoint in (
        ("seen", "visible", False, "auto"),
        ("quiet", "none", False, "auto"),
        ("sure", "none", True, "auto"),
        ("shown", "visible", True, "auto"),
        ("strict", "none", False, "sync"),
    )
)


@dataclass(frozen=True)
class Turn:
    """What a body does before it waits: calls as (function, takes, items), and which of its calls it then awaits."""

    calls: tuple[tuple[int, tuple[int, ...], int], ...]
    awaits: tuple[int, ...]


@st.composite
def scripts(draw: st.DrawFn, *, watches: bool) -> list[Turn]:
    turns: list[Turn] = []
    made = 0
    for _ in range(draw(st.integers(1, 4 if watches else 1))):
        calls = []
        for _ in range(draw(st.integers(0 if turns else 1, 4))):
            takes = tuple(draw(st.lists(st.integers(0, made - 1), max_size=2))) if made else ()
            items = draw(st.sampled_from((-1, -1, -1, 0, 1, 5)))
            calls.append((draw(st.integers(0, len(FUNCTIONS) - 1)), takes, items))
            made += 1
        waited = [n for turn in turns for n in turn.awaits]
        free = [n for n in range(made) if n not in waited]
        awaits = tuple(draw(st.lists(st.sampled_from(free), max_size=2, unique=True))) if watches and free else ()
        turns.append(Turn(tuple(calls), awaits))
    return turns


@dataclass
class Life:
    """What is under way between two crashes."""

    machine: RunMachine
    attempts: dict[tuple[int, int], StepId] = field(default_factory=dict)
    items: dict[tuple[int, int, int], None] = field(default_factory=dict)
    entered: EnterBody | None = None
    turn: int = 0
    waits: bool = False
    told: bool = False
    delivered: list[tuple[int, object, float]] = field(default_factory=list)
    wake_at: float = 0.0


class RunAgainstModel(RuleBasedStateMachine):
    """The world around one machine. What it knows of the Run it knows from rows and commands alone."""

    @initialize(data=st.data())
    def start(self, data: st.DataObject) -> None:
        watches = data.draw(st.booleans())
        self.script = data.draw(scripts(watches=watches))
        self.answer = tuple(sorted(data.draw(st.sets(st.integers(0, max(0, self.made - 1)), max_size=2))))
        kind = Kind.WATCHING if watches else Kind.WIRING
        self.function = FunctionSpec("m:flow", "flow", kind)
        self.now = 1000.0
        self.rows: list[Row] = []
        self.committed = 0
        self.end: End | None = None
        self.nonce = 0
        self.recorded: dict[str, tuple[int, bytes]] = {}
        self.seen: list[tuple[int, object, float]] = []
        self.calm = False
        started = Started(RunId("r"), self.function, Bundle("m"), Payload(Inline(b"args")))
        self.life = Life(RunMachine.new(1, UID, started, Limits()))
        self.tell(Resumed(self.now))

    @property
    def made(self) -> int:
        return sum(len(turn.calls) for turn in self.script)

    # ------------------------------------------------------------------ the machine's commands

    def tell(self, event: object) -> None:
        next = self.life.machine.comes_next(event.seq) if type(event) is Committed else None
        commands = self.life.machine.handle(event)
        if next is not None:
            assert [command for command in commands if type(command) in (Invoke, InvokeItems, EnterBody)] == [next]
        for command in commands:
            match command:
                case Append():
                    assert command.seq == len(self.rows) + 1
                    self.rows.append(Row(UID, command.seq, command.at, 1, command.records))
                    self.read(self.rows[-1])
                case WakeAt():
                    self.life.wake_at = command.at
                case End():
                    assert self.committed == len(self.rows), "the answer left before the last record was durable (G-c)"
                    self.end = command
                case EnterBody():
                    self.life.entered, self.life.turn, self.life.waits = command, 0, False
                    self.life.delivered = []
                case Deliver():
                    self.delivered(command)
                case LeaveBody():
                    self.life.entered = None
                case _:
                    self.work(command)

    def work(self, command: object) -> None:
        """Note what is sent to Sandboxes, and what is taken back from them."""
        match command:
            case Invoke():
                for invocation in command.invocations:
                    self.invoked(command.function, invocation)
            case InvokeItems():
                self.may_go(command.function, command.id)
                for lo, hi in command.ranges:
                    for item in range(lo, hi):
                        assert (command.step, item) not in {(s, i) for s, i, _ in self.life.items}
                        assert f"{command.id}.{item}" not in self.recorded, "an item that is settled runs again"
                        self.life.items[command.step, item, command.attempt] = None
            case Revoke():
                gone = set(command.steps)
                self.life.attempts = {k: v for k, v in self.life.attempts.items() if k[0] not in gone}
                self.life.items = {k: v for k, v in self.life.items.items() if k[0] not in gone}

    def read(self, row: Row) -> None:
        for record in row.records:
            if isinstance(record, Settled):
                for outcome in record.outcomes:
                    assert outcome.step not in self.recorded, "a second outcome of one Step"
                    self.recorded[outcome.step] = (row.seq, b"")
            elif isinstance(record, ItemsSettled):
                done = [i for lo, hi, _ in record.values for i in range(lo, hi)] + [f.index for f in record.failures]
                for index in done:
                    assert f"{record.step}.{index}" not in self.recorded, "a second outcome of one item"
                    self.recorded[f"{record.step}.{index}"] = (row.seq, b"")

    def invoked(self, function: FunctionSpec, invocation: object) -> None:
        key = (invocation.step, invocation.attempt)
        assert key not in self.life.attempts, "an Attempt that runs is sent again"
        assert invocation.id not in self.recorded, "a settled Step runs again"
        self.life.attempts[key] = invocation.id
        self.may_go(function, invocation.id)

    def may_go(self, function: FunctionSpec, step: StepId) -> None:
        """Check the gate of a visible Attempt naively: every row that was there when it was made ready (G-a).

        The model is stricter than the rule only for `deterministic` values, which it leaves out.
        """
        if function.effects != "visible":
            return
        assert self.committed >= 1, "something visible before the start record"
        for producer in self.ancestors(self.number_of(step)):
            label = FUNCTIONS[self.call(producer)[0]]
            if not label.deterministic:
                for id, (seq, _) in self.recorded.items():
                    if id == self.id_of(producer) or id.startswith(f"{self.id_of(producer)}."):
                        assert seq <= self.committed, f"{step} goes before the record of {id} is durable"

    def delivered(self, command: Deliver) -> None:
        life = self.life
        assert life.entered is not None
        assert life.waits
        life.waits = False
        life.turn += 1
        told = (command.call, command.value or command.failure, command.at)
        life.delivered.append(told)
        place = len(life.delivered) - 1
        if place < len(self.seen):
            assert self.seen[place] == told, "a replay delivers something else than the first time"

    # ------------------------------------------------------------------ the graph, as the script has it

    def call(self, number: int) -> tuple[int, tuple[int, ...], int]:
        return [call for turn in self.script for call in turn.calls][number]

    def id_of(self, number: int) -> str:
        function = self.call(number)[0]
        n = sum(self.call(before)[0] == function for before in range(number))
        return f"{FUNCTIONS[function].label}[{n}]"

    def number_of(self, step: str) -> int:
        return next(n for n in range(self.made) if self.id_of(n) == step)

    def ancestors(self, number: int) -> set[int]:
        found: set[int] = set()
        stack = [number]
        while stack:
            for taken in self.call(stack.pop())[1]:
                if taken not in found:
                    found.add(taken)
                    stack.append(taken)
        return found

    # ------------------------------------------------------------------ what can happen

    def later(self) -> float:
        self.now += 0.25
        return self.now

    def fail(self, id: str, attempt: int, reason: Reason) -> Failure:
        return Failure(reason, "E", "failed", origin=StepId(id), attempt=attempt)

    @precondition(lambda self: self.end is None and self.life.entered and not self.life.waits)
    @rule()
    def body_goes_on(self) -> None:
        life = self.life
        entered = life.entered
        if life.turn >= len(self.script) or (life.turn == len(self.script) - 1 and life.told):
            refs = tuple(RefTo(n) for n in self.answer) if self.made else ()
            life.entered, life.told = None, False
            self.tell(
                BodyReturned(self.later(), entered.step, entered.attempt, Payload(Inline(b"a"), refs), None, NOT_RUN)
            )
            return
        turn = self.script[life.turn]
        first = sum(len(before.calls) for before in self.script[: life.turn])
        counts: dict[int, int] = {}
        for number in range(first):
            counts[self.call(number)[0]] = counts.get(self.call(number)[0], 0) + 1
        calls, chunks = [], []
        for offset, (function, takes, items) in enumerate(turn.calls):
            n = counts.get(function, 0)
            counts[function] = n + 1
            args = Payload(Inline(b"x"), tuple(RefTo(t) for t in takes))
            calls.append(Call(function, n, args, is_map=items >= 0))
            if items >= 0:
                half = items // 2
                if half:
                    chunks.append(Chunk(first + offset, 0, half, Payload(Inline(b"i"))))
                chunks.append(Chunk(first + offset, half, items - half, Payload(Inline(b"i")), True))
        functions = FUNCTIONS if life.turn == 0 else ()
        life.waits = bool(turn.awaits)
        if not turn.awaits:
            life.turn += 1
        self.tell(
            BodyMade(self.later(), entered.step, entered.attempt, functions, tuple(calls), tuple(chunks), turn.awaits)
        )

    @precondition(lambda self: self.end is None and self.life.attempts)
    @rule(data=st.data(), fails=st.sampled_from((None, None, None, Reason.RAISED, Reason.LOST)))
    def an_attempt_ends(self, data: st.DataObject, fails: Reason | None) -> None:
        (step, attempt), id = data.draw(st.sampled_from(sorted(self.life.attempts.items())))
        del self.life.attempts[step, attempt]
        self.nonce += 1
        value = Inline(b"v%d" % self.nonce) if fails is None or self.calm else None
        failure = self.fail(id, attempt, fails) if value is None else None
        self.tell(AttemptsEnded(self.later(), (Outcome(step, attempt, value, failure, NOT_RUN),)))

    @precondition(lambda self: self.end is None and self.life.items)
    @rule(data=st.data(), fails=st.sampled_from((None, None, None, Reason.RAISED, Reason.LOST)))
    def an_item_ends(self, data: st.DataObject, fails: Reason | None) -> None:
        step, item, attempt = data.draw(st.sampled_from(sorted(self.life.items)))
        del self.life.items[step, item, attempt]
        self.nonce += 1
        good = fails is None or self.calm
        values = ((item, item + 1, Inline(b"v%d" % self.nonce)),) if good else ()
        failures = () if good else ((item, self.fail("", attempt, fails)),)
        self.tell(ItemsEnded(self.later(), step, attempt, values, failures, NOT_RUN))

    @precondition(lambda self: self.end is None and self.committed < len(self.rows))
    @rule(data=st.data())
    def rows_commit(self, data: st.DataObject) -> None:
        self.committed = data.draw(st.integers(self.committed + 1, len(self.rows)))
        self.tell(Committed(self.later(), self.committed))

    @precondition(lambda self: self.end is None and self.life.wake_at)
    @rule()
    def time_comes(self) -> None:
        self.now = max(self.now, self.life.wake_at)
        self.life.wake_at = 0.0
        self.tell(TimeCame(self.now))

    @precondition(lambda self: self.end is None and self.life.entered and not self.calm)
    @rule(innocent=st.booleans())
    def the_body_is_lost(self, innocent: bool) -> None:
        entered = self.life.entered
        self.seen = list(self.life.delivered)
        self.life.entered, self.life.told = None, False
        failure = None if innocent else self.fail("flow", entered.attempt, Reason.LOST)
        self.tell(BodyLost(self.later(), entered.step, entered.attempt, failure))

    @precondition(lambda self: self.end is None and self.committed and not self.calm)
    @rule()
    def the_engine_dies(self) -> None:
        """What was not committed is gone; of what the body had seen, the committed beginning must come again."""
        kept = []
        for number, value, at in self.life.delivered or self.seen:
            ids = [id for id in self.recorded if id == self.id_of(number) or id.startswith(f"{self.id_of(number)}.")]
            if not ids or any(self.recorded[id][0] > self.committed for id in ids):
                break
            kept.append((number, value, at))
        self.seen = kept
        self.rows = self.rows[: self.committed]
        self.recorded = {}
        for row in self.rows:
            self.read(row)
        self.life = Life(RunMachine.resume(2, UID, self.rows, Limits()))
        self.tell(Resumed(self.later()))

    @precondition(lambda self: self.end is None and not self.calm)
    @rule(draw=st.integers(0, 30))
    def somebody_cancels(self, draw: int) -> None:
        if draw == 0:
            self.tell(CancelCame(self.later(), "message"))

    @precondition(lambda self: self.end is not None)
    @rule()
    def it_rests(self) -> None:
        """A Run that has ended wants nothing more, whatever comes."""
        assert self.life.machine.handle(TimeCame(self.later())) == []

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def rows_are_closed(self) -> None:
        if hasattr(self, "rows"):
            assert closure_violations({UID: self.rows}) == []

    def teardown(self) -> None:
        """Let everything go well from here on: the Run must end."""
        if not hasattr(self, "life"):
            return
        self.calm = True
        for _ in range(500):
            life = self.life
            if self.end is not None:
                break
            if self.committed < len(self.rows):
                self.committed = len(self.rows)
                self.tell(Committed(self.later(), self.committed))
            elif life.attempts:
                (step, attempt), _ = life.attempts.popitem()
                self.tell(AttemptsEnded(self.later(), (Outcome(step, attempt, Inline(b"z"), None, NOT_RUN),)))
            elif life.items:
                (step, item, attempt), _ = life.items.popitem()
                self.tell(ItemsEnded(self.later(), step, attempt, ((item, item + 1, Inline(b"z")),), (), NOT_RUN))
            elif life.entered is not None and not life.waits:
                self.body_goes_on()
            else:
                assert life.wake_at, "nothing is under way and no time is asked for, but the Run has not ended"
                self.time_comes()
        assert self.end is not None, "the Run does not end"
        self.rows_are_closed()


class TestRunMachine(RunAgainstModel.TestCase):
    settings = settings(max_examples=100, stateful_step_count=40)


@pytest.mark.sweep
class TestRunMachineForLong(RunAgainstModel.TestCase):
    settings = settings(max_examples=2_000, stateful_step_count=40)
