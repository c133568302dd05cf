"""A machine of one Run on a desk: events go in by the names of Steps, and what it wants is kept to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

from weftrun.machines.run import RunMachine
from weftrun.model.commands import (
    Append,
    Deliver,
    End,
    EnterBody,
    Invoke,
    InvokeItems,
    LeaveBody,
    Park,
    Release,
    Revoke,
    WaitsUntil,
    WakeAt,
)
from weftrun.model.events import (
    AttemptsEnded,
    BodyLost,
    BodyMade,
    BodyReturned,
    Committed,
    Handed,
    ItemsEnded,
    Resumed,
    TimeCame,
)
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import ObjectId, RunId, RunUid
from weftrun.model.limits import Limits
from weftrun.model.messages import Invocation
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Reason
from weftrun.model.policy import Bundle, FunctionSpec, Kind, RetryPolicy
from weftrun.model.records import Retried, Row, Started
from weftrun.model.values import Data, Inline, Object, Payload, RefTo

UID = RunUid("0" * 32)
WIRES = FunctionSpec("m:wires", "wires", Kind.WIRING)
WATCHES = FunctionSpec("m:watches", "watches", Kind.WATCHING)
QUIET = FunctionSpec("m:quiet", "quiet", effects="none")
SEEN = FunctionSpec("m:seen", "seen")
STRICT = FunctionSpec("m:strict", "strict", effects="none", checkpoint="sync")
TRIED = FunctionSpec("m:tried", "tried", effects="none", retry=RetryPolicy(3, delay_s=10.0, jitter=0.0))
LOOSE = FunctionSpec("m:loose", "loose", effects="none", checkpoint="none")
SURE = FunctionSpec("m:sure", "sure", effects="none", checkpoint="none", deterministic=True)
AUTO = FunctionSpec("m:auto", "auto", effects="none", deterministic=True)
AGAIN = FunctionSpec(
    "m:again",
    "again",
    effects="none",
    checkpoint="none",
    deterministic=True,
    retry=RetryPolicy(3, delay_s=10.0, jitter=0.0),
)
UNDO = FunctionSpec("m:undo", "undo", retry=RetryPolicy(2, delay_s=10.0, jitter=0.0))
CHARGE = FunctionSpec("m:charge", "charge", retry=RetryPolicy(2, delay_s=10.0, jitter=0.0), rollback=UNDO)
WRITES = FunctionSpec("m:writes", "writes", effects="transaction", checkpoint="sync")
FUNCTIONS = (QUIET, SEEN, STRICT, TRIED, WIRES, WATCHES, LOOSE, SURE, AUTO, AGAIN, CHARGE, WRITES)
VALUE = Inline(b"value")


def thing(number: int) -> Object:
    """Return an Object."""
    return Object(ObjectId(number), 100)


def call(
    function: FunctionSpec,
    n: int = 0,
    *takes: int | RefTo,
    after: tuple[int, ...] = (),
    is_map: bool = False,
    digest: str = "",
    args: Data = VALUE,
) -> Call:
    """Return a call that takes the values of these calls."""
    refs = tuple(take if isinstance(take, RefTo) else RefTo(take) for take in takes)
    return Call(FUNCTIONS.index(function), n, Payload(args, refs), after, is_map, digest)


def chunk(number: int, lo: int, count: int, *takes: int, last: bool = True, items: Data = VALUE) -> Chunk:
    """Return a chunk of the items of call `number`."""
    return Chunk(number, lo, count, Payload(items, tuple(RefTo(take) for take in takes)), last)


def failure(reason: Reason = Reason.RAISED) -> Failure:
    """Return a failure, as a Sandbox tells it."""
    return Failure(reason, "ValueError", "no")


class RunDesk:
    """One Run. `lives` again from its committed rows with `dies`."""

    def __init__(
        self,
        function: FunctionSpec = WATCHES,
        limits: Limits | None = None,
        args: Payload | None = None,
        *,
        durable: bool = True,
    ) -> None:
        self.rows: list[Row] = []
        self.handed: list[Handed] = []
        self.now = 1000.0
        self.committed = 0
        self.limits = limits or Limits()
        started = Started(RunId("r"), function, Bundle("m"), args or Payload(Inline(b"args")))
        self.live(RunMachine.new(1, UID, started, self.limits, durable=durable))

    def live(self, machine: RunMachine, handed: Sequence[Handed] = (), *, other_code: bool = False) -> None:
        self.machine = machine
        self.sent: dict[str, Invocation] = {}
        self.items: dict[str, InvokeItems] = {}
        self.ranges: list[tuple[int, int]] = []
        self.bodies: dict[str, EnterBody] = {}
        self.left: list[int] = []
        self.delivered: list[Deliver] = []
        self.revoked: list[int] = []
        self.released: list[int] = []
        self.wake_at = 0.0
        self.waits_until = 0.0
        self.end: End | None = None
        self.parked: Failure | None = None
        self.tell(Resumed(self.now, is_other_code=other_code, handed=tuple(handed)))

    def dies(self, limits: Limits | None = None, *, keeps_trace: bool = False, other_code: bool = False) -> None:
        """The engine dies: what was not committed is gone, and the trace too where it is not kept."""
        del self.rows[self.committed :]
        self.now += 1.0
        machine = RunMachine.resume(2, UID, self.rows, limits or self.limits)
        self.live(machine, self.handed if keeps_trace else (), other_code=other_code)

    def retries(self, *, keeps_trace: bool = False) -> None:
        """What is durable has ended, or is parked, and somebody asks for another life of it (L1)."""
        del self.rows[self.committed :]
        life = 2 + sum(isinstance(record, Retried) for row in self.rows for record in row.records)
        self.now += 1.0
        self.rows.append(Row(UID, len(self.rows) + 1, self.now, 1, (Retried(life),)))
        self.committed = len(self.rows)
        self.dies(keeps_trace=keeps_trace)

    def tell(self, event: object) -> None:
        for command in self.machine.handle(event):
            match command:
                case Append():
                    self.rows.append(Row(UID, command.seq, command.at, 1, command.records))
                case Invoke():
                    self.sent.update({invocation.id: invocation for invocation in command.invocations})
                    for invocation in command.invocations:
                        self.handed += self.machine.newly_handed(invocation.step)
                case InvokeItems():
                    self.items[command.id] = command
                    self.ranges += command.ranges
                case EnterBody():
                    self.bodies[command.id] = command
                case Deliver():
                    self.delivered.append(command)
                case LeaveBody():
                    self.left.append(command.step)
                case Revoke():
                    self.revoked += command.steps
                case Release():
                    self.released += command.objects
                case WakeAt():
                    self.wake_at = command.at
                case _:
                    self._tell_more(command)

    def _tell_more(self, command: object) -> None:
        match command:
            case WaitsUntil():
                self.waits_until = command.at
            case Park():
                self.parked = command.failure
            case End():
                self.end = command

    # ------------------------------------------------------------------ what happens

    def comes_next(self) -> list[str]:
        """Return what the machine says that it will want done when all its rows are durable."""
        command = self.machine.comes_next(len(self.rows))
        return [invocation.id for invocation in command.invocations] if command is not None else []

    def commits(self) -> None:
        self.committed = len(self.rows)
        self.tell(Committed(self.now, self.committed))

    def tell_committed(self, seq: int) -> None:
        """The first rows are durable, later ones are not."""
        self.tell(Committed(self.now, seq))

    def makes(self, body: str, *calls: Call, chunks: Sequence[Chunk] = (), awaits: tuple[int, ...] = ()) -> None:
        entered = self.bodies[body]
        self.tell(BodyMade(self.now, entered.step, entered.attempt, FUNCTIONS, calls, tuple(chunks), awaits))

    def returns(self, body: str, *refs: int | RefTo, data: Data = VALUE, fails: Failure | None = None) -> None:
        entered = self.bodies[body]
        answer = Payload(data, tuple(ref if isinstance(ref, RefTo) else RefTo(ref) for ref in refs))
        self.tell(BodyReturned(self.now, entered.step, entered.attempt, None if fails else answer, fails, NOT_RUN))

    def loses(self, body: str, *, innocent: bool = False) -> None:
        entered = self.bodies[body]
        self.tell(BodyLost(self.now, entered.step, entered.attempt, None if innocent else failure(Reason.LOST)))

    def ends(self, *good: str, bad: Sequence[str] = (), value: Data = VALUE) -> None:
        """These Invocations end, in one message: first those that succeed."""
        outcomes = [self.outcome(step, value, None) for step in good] + [self.outcome(s, None, failure()) for s in bad]
        self.tell(AttemptsEnded(self.now, tuple(outcomes)))

    def outcome(self, step: str, value: Data | None, fails: Failure | None) -> Outcome:
        sent = self.sent.pop(step)
        return Outcome(sent.step, sent.attempt, value, fails, NOT_RUN, sent.undoes)

    def items_end(
        self,
        step: str,
        *values: tuple[int, int],
        fails: Sequence[int] = (),
        attempt: int = 1,
        data: Data = VALUE,
        reason: Reason = Reason.RAISED,
    ) -> None:
        told = tuple((lo, hi, data) for lo, hi in values)
        failures = tuple((index, failure(reason)) for index in fails)
        self.tell(ItemsEnded(self.now, self.items[step].step, attempt, told, failures, NOT_RUN))

    def time_comes(self) -> None:
        self.now = max(self.now, self.wake_at)
        self.tell(TimeCame(self.now))

    @property
    def failed_with(self) -> str:
        """The sentence of the Run's failure."""
        assert self.end is not None
        assert self.end.failure is not None
        return self.end.failure.message
