"""A desk for the machines of shared Runs: parts by number, rows by hand, messages carried by the test."""

from __future__ import annotations

from weftrun.machines.share import PartMachine
from weftrun.model.graph import Call
from weftrun.model.ids import RunId, RunUid, StepId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Ran, Reason, Success
from weftrun.model.policy import Bundle, FunctionSpec, Kind
from weftrun.model.records import Graphed, Planned, Record, Row, Settled, Stamped, Started, StepOutcome
from weftrun.model.share import (
    AppendCame,
    AppendRecords,
    CallsMade,
    Enter,
    Heard,
    Held,
    Loaded,
    LoadRows,
    Outcome,
    PartCommand,
    PartEvent,
    PlanTold,
    Say,
    ShareMessage,
    StepEnded,
)
from weftrun.model.values import Inline, Payload, RefTo

UID = RunUid("d" * 32)
RAN = Ran(1, 1.0, 1.1)
QUIET = FunctionSpec("app:quiet", "quiet", effects="none")
LOOSE = FunctionSpec("app:loose", "loose", effects="none", checkpoint="none")
SYNC = FunctionSpec("app:sync", "sync", effects="none", checkpoint="sync")
SEEN = FunctionSpec("app:seen", "seen")
WATCH = FunctionSpec("app:watch", "watch", Kind.WATCHING)


def args(*calls: int) -> Payload:
    return Payload(Inline(b"args"), tuple(RefTo(call) for call in calls))


def worker(number: int) -> WorkerId:
    return WorkerId(number)


class Desk:
    """Workers 1 to n of one Run, and its rows. `homes` names where Steps are at home; the root is at home at 1."""

    def __init__(self, workers: int, calls: list[tuple[FunctionSpec, tuple[int, ...]]], homes: dict[str, int]) -> None:
        self.now = 10.0
        self.rows: list[Row] = []
        self.homes = {"flow": 1, **homes}
        self.parts = {n: PartMachine(worker(n), UID, Limits(), 1.0) for n in range(1, workers + 1)}
        self.commands: dict[int, list[PartCommand]] = {n: [] for n in self.parts}
        root = FunctionSpec("app:flow", "flow", Kind.WIRING if calls else Kind.WATCHING)
        self.write(1, Started(RunId("desk"), root, Bundle("app"), args()))
        if calls:
            made = tuple(Call(n, _count(calls, n), args(*takes)) for n, (_, takes) in enumerate(calls))
            functions = tuple(function for function, _ in calls)
            self.write(1, Graphed(StepId("flow"), 1, functions, made, (), args(len(calls) - 1)))

    def write(self, epoch: int, *records: Record) -> None:
        self.rows.append(Row(UID, len(self.rows) + 1, self.now, epoch, records))

    def plan(self, epoch: int, *workers: int) -> None:
        """Write a plan, and let its Workers go over to it."""
        homes = tuple((StepId(step), worker(home)) for step, home in self.homes.items() if home in workers)
        self.write(epoch, Planned(tuple(worker(n) for n in workers), homes))
        for n in workers:
            self.adopt(n, epoch)

    def adopt(self, n: int, epoch: int) -> None:
        self.tell(n, Heard(self.now, PlanTold(epoch)))
        self.load(n)

    def load(self, n: int) -> list[PartCommand]:
        """Let a part read the rows."""
        return self.tell(n, Loaded(self.now, tuple(self.rows)))

    def tell(self, n: int, event: PartEvent) -> list[PartCommand]:
        """Give a part an event; what it wants done is returned, and kept."""
        commands = self.parts[n].handle(event)
        self.commands[n] += commands
        return commands

    def hear(self, n: int, message: ShareMessage) -> list[PartCommand]:
        return self.tell(n, Heard(self.now, message))

    def ends(self, n: int, step: str, value: bytes = b"value", failure: str = "") -> list[PartCommand]:
        """Tell a part that the first Attempt of a Step has ended."""
        failed = Failure(Reason.RAISED, "Error", failure) if failure else None
        return self.tell(n, StepEnded(self.now, StepId(step), 1, None if failed else Inline(value), failed, RAN))

    def calls(self, n: int, step: str, *made: tuple[FunctionSpec, int, tuple[int, ...]], awaits: tuple[int, ...] = ()):
        functions = tuple(function for function, _, _ in made)
        first = len(self.parts[n].state.inside[StepId(step)].functions)
        calls = tuple(Call(first + i, count, args(*takes)) for i, (_, count, takes) in enumerate(made))
        return self.tell(n, CallsMade(self.now, StepId(step), 1, functions, calls, awaits))

    def carry(self) -> None:
        """Carry all messages until there are none, each once."""
        moved = True
        while moved:
            moved = False
            for n in list(self.parts):
                said = [command for command in self.commands[n] if isinstance(command, Say)]
                self.commands[n] = [command for command in self.commands[n] if not isinstance(command, Say)]
                for command in said:
                    if command.to in self.parts:
                        moved = True
                        self.hear(command.to, command.message)

    def commit(self, n: int, outcome: Outcome = Outcome.COMMITTED) -> list[PartCommand]:
        """Carry out the append that a part asked for last."""
        append = [command for command in self.commands[n] if isinstance(command, AppendRecords)][-1]
        if outcome is Outcome.COMMITTED:
            known = {record for row in self.rows for record in row.records}
            for held in append.held:
                if held.record not in known:
                    self.write(append.epoch, Stamped(held.epoch, held.worker), held.record)
        return self.tell(n, AppendCame(self.now, append.number, outcome))

    def entered(self, n: int) -> list[str]:
        return [command.step for command in self.commands[n] if isinstance(command, Enter)]

    def appended(self, n: int) -> list[tuple[str, int]]:
        """Return the names in the append that a part asked for last."""
        appends = [command for command in self.commands[n] if isinstance(command, AppendRecords)]
        return [held.name for held in appends[-1].held] if appends else []

    def appends(self, n: int) -> int:
        """Return how many appends a part has asked for."""
        return sum(isinstance(command, AppendRecords) for command in self.commands[n])

    def asked_to_load(self, n: int) -> bool:
        return any(isinstance(command, LoadRows) for command in self.commands[n])


def _count(calls: list[tuple[FunctionSpec, tuple[int, ...]]], n: int) -> int:
    return sum(function.label == calls[n][0].label for function, _ in calls[:n])


def told(step: str, epoch: int, by: int, value: bytes = b"value", rests: tuple[tuple[str, int], ...] = ()) -> Held:
    """Return an outcome as another Worker tells it."""
    record = Settled((StepOutcome(StepId(step), 1, 0, Success(Payload(Inline(value))), RAN),))
    return Held((StepId(step), 0), epoch, worker(by), record, tuple((StepId(name), n) for name, n in rests))
