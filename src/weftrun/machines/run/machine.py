"""The machine of one Run: one event in, commands out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from weftrun.machines.run.attempts import attempts_ended, disarmed, open_gates, start_ready, time_came, wake_for_due
from weftrun.machines.run.awaiting import signal_came
from weftrun.machines.run.beside import comes_next
from weftrun.machines.run.bodies import deliver, lost, made, returned
from weftrun.machines.run.closure import add_record, flush_outcomes
from weftrun.machines.run.early import output_put
from weftrun.machines.run.fixing import fix_puts, put_durably
from weftrun.machines.run.grow import revive
from weftrun.machines.run.handed import in_flight, newly_handed, recall_handed
from weftrun.machines.run.maps import items_ended
from weftrun.machines.run.parking import park, parked
from weftrun.machines.run.recorded import Recorded
from weftrun.machines.run.rollback import recall_begun
from weftrun.machines.run.settle import finish, follow, propagate_held
from weftrun.machines.run.state import RunState, State
from weftrun.machines.run.transitions import move
from weftrun.machines.run.trees import tree_of
from weftrun.machines.run.undoing import begin_to_undo, cancelled
from weftrun.machines.run.waiting import tell_of_waiting, waits_for
from weftrun.model.commands import WHEN_READY, Append, End, Hurry, Invoke, Release, Revoke, RunCommand, StartRules
from weftrun.model.events import (
    AttemptsEnded,
    BodyLost,
    BodyMade,
    BodyReturned,
    CancelCame,
    CodeUnfit,
    Committed,
    Disarmed,
    Handed,
    ItemsEnded,
    OutputPut,
    Parked,
    Resumed,
    RunEvent,
    SignalCame,
    TimeCame,
)
from weftrun.model.ids import RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.records import Row, Started


class RunMachine:
    """Decides everything about one Run.

    Made by `new` or, after a crash, by `resume`; the first event is `Resumed`. Events about Attempts that are over
    are passed by, so that an outcome may be told twice. Commands are idempotent by (Run, Step, Attempt).

    Attributes:
        check: what tests have called with the Run after each event; see `machines.run.transitions`.
    """

    check: ClassVar[Callable[[RunState], None] | None] = None

    def __init__(
        self,
        number: int,
        uid: RunUid,
        recorded: Recorded,
        limits: Limits,
        *,
        durable: bool = True,
        starts: StartRules = WHEN_READY,
    ) -> None:
        self.state = RunState(number, uid, recorded, limits, durable=durable, starts=starts)

    @classmethod
    def new(
        cls,
        number: int,
        uid: RunUid,
        started: Started,
        limits: Limits,
        *,
        durable: bool = True,
        starts: StartRules = WHEN_READY,
    ) -> RunMachine:
        """Make the machine of a Run that has no record yet; one that is not `durable` never has any (N3).

        `starts` says how its Steps come to start.
        """
        return cls(number, uid, Recorded(started), limits, durable=durable, starts=starts)

    @classmethod
    def resume(
        cls, number: int, uid: RunUid, rows: Sequence[Row], limits: Limits, *, starts: StartRules = WHEN_READY
    ) -> RunMachine:
        """Make the machine of a Run from its rows."""
        return cls(number, uid, Recorded.of(rows), limits, starts=starts)

    @property
    def is_durable(self) -> bool:
        """Whether all rows that it has asked for are durable, or it never asks for any."""
        return self.state.committed >= self.state.seq

    def comes_next(self, seq: int) -> Invoke | None:
        """Return what it will want done when its rows up to `seq` are durable, where that is one Invocation."""
        return comes_next(self.state, seq)

    @property
    def may_undo(self) -> bool:
        """Whether a cancel may let a body undo something, for which the Run has to be entered."""
        recorded = self.state.recorded
        return bool(recorded.undoable - recorded.undone)

    @property
    def listens(self) -> bool:
        """Whether a Step may wait for a signal."""
        return any(self.state.listening.values())

    @property
    def may_wait(self) -> bool:
        """Whether a Step may wait for a time or a signal, or did; asked after every event."""
        return bool(self.state.listening or self.state.due)

    @property
    def waits_for(self) -> str:
        """What the Run waits for now, for people: `signal NAME`, also beside other work, or `sleep`; else empty."""
        return waits_for(self.state)

    def newly_handed(self, step: int) -> list[Handed]:
        """Return the calls of async bodies of which the trace is to tell as a Step goes to a Worker."""
        return newly_handed(self.state, step)

    @property
    def in_flight(self) -> list[StepId]:
        """Visible calls of async bodies that an engine before had handed over, and that may have happened."""
        return in_flight(self.state)

    def handle(self, event: RunEvent) -> list[RunCommand]:
        """Take one event and return what is to be done because of it, in order."""
        run = self.state
        run.now = max(run.now, event.now)
        if type(event) is Committed:
            self._committed(event)
        elif run.ending is None and (run.unfit is None or type(event) is CancelCame):
            if type(event) is AttemptsEnded:
                attempts_ended(run, event)
            else:
                self._take(event)
            self._draw_consequences()
        commands = self._hand_out()
        check = type(self).check
        if check is not None:
            check(run)
        return commands

    def _take(self, event: RunEvent) -> None:
        run = self.state
        match event:
            case ItemsEnded():
                items_ended(run, event)
            case OutputPut():
                (put_durably if event.is_durable else output_put)(run, event)
            case Disarmed():
                disarmed(run, event)
            case BodyMade() | BodyReturned() | BodyLost():
                self._take_of_body(event)
            case TimeCame():
                run.wake_at = 0.0
                time_came(run)
            case CancelCame():
                cancelled(run, event)
            case SignalCame():
                signal_came(run, event.signal)
            case CodeUnfit():
                park(run, event.failure)
            case Parked():
                finish(run, "failed", event.failure)
            case Resumed():
                self._begin(event)

    def _take_of_body(self, event: BodyMade | BodyReturned | BodyLost) -> None:
        match event:
            case BodyMade():
                made(self.state, event)
            case BodyReturned():
                returned(self.state, event)
            case BodyLost():
                lost(self.state, event)

    def _begin(self, event: Resumed) -> None:
        run = self.state
        run.code = event.code
        run.is_other_code = event.is_other_code
        recall_handed(run, event.handed)
        for signal in event.signals:
            signal_came(run, signal)
        recorded = run.recorded
        if recorded.seq == 0:
            add_record(run, recorded.started)
            run.root.gate = run.row
        else:
            recall_begun(run, run.root)
            run.root.attempt, due, _ = recorded.attempts(run.root.id, -1)
            run.root.used = recorded.lives.used(run.root.id)
            if due > run.now:
                move(run.root, State.BACKING_OFF)
                run.due.append((due, 0, -1))
                return
        run.root.at = run.now if recorded.seq == 0 else recorded.started_at
        run.ready.append(run.root)

    def _committed(self, event: Committed) -> None:
        run = self.state
        run.committed = max(run.committed, event.seq)
        if run.ending is not None:
            if run.ended_row <= run.committed:
                self._answer()
            return
        if run.unfit is not None:
            if run.unfit_row <= run.committed:
                parked(run)
            return
        if run.held:
            _show_held(run)
        if run.gated:
            open_gates(run)
        self._draw_consequences()

    def _answer(self) -> None:
        run = self.state
        ending = run.ending
        assert ending is not None
        answer = tree_of(ending.answer, run.root.body) if ending.answer is not None else None
        run.commands.append(End(ending.status, answer, ending.failure))

    def _draw_consequences(self) -> None:
        """Follow up until nothing more is to be decided at this time."""
        run = self.state
        while True:
            if run.pending_failures or run.failed_dependents or run.completions:
                follow(run)
            if run.ending is not None or run.unfit is not None:
                return
            if run.ready or run.ready_chunks or run.hopeful or run.decided:
                start_ready(run)
            elif run.deliverable:
                bodies, run.deliverable = run.deliverable, []
                for body in bodies:
                    deliver(run, body)
            elif (run.cancel and begin_to_undo(run)) or (run.puts and self._fixes_puts()):
                continue
            else:
                break
        if run.due:
            wake_for_due(run)

    def _fixes_puts(self) -> bool:
        """Fix what was put durably; say whether anything was, from which more may follow."""
        before = self.state.ordinal
        fix_puts(self.state)
        return self.state.ordinal > before

    def _hand_out(self) -> list[RunCommand]:
        """Return the commands, the row first, so that what follows from it can't go before it."""
        run = self.state
        if not run.durable:
            self._drop_records()
        if run.outcomes:
            flush_outcomes(run)
        commands = run.commands
        run.commands = []
        if run.records:
            run.seq = run.row
            run.row += 1
        hurries = run.committed < run.seq and run.hurried < run.seq and self._is_waited_for()
        if hurries:
            run.hurried = run.seq
        if run.records:
            commands.insert(0, Append(run.seq, run.now, tuple(run.records), hurries))
            run.records.clear()
        elif hurries:
            commands.append(Hurry())
        if run.revoked:
            commands.append(Revoke(tuple(run.revoked)))
            run.revoked.clear()
        if run.released:
            commands.append(Release(tuple(run.released)))
            run.released.clear()
        if run.ending is None and (run.due or run.listening):
            tell_of_waiting(run, commands)
        return commands

    def _drop_records(self) -> None:
        """Keep nothing (N3): what nobody will read again can't break closure, and the answer waits for no row."""
        run = self.state
        run.outcomes.clear()
        run.records.clear()
        if run.ending is not None and run.ended_row:
            run.ended_row = 0
            self._answer()

    def _is_waited_for(self) -> bool:
        """Whether a gate, a reader, the starter or the answer waits for a row."""
        run = self.state
        ends = run.ending is not None or run.unfit is not None
        return bool(run.gated or run.held or run.puts) or ends or run.committed == 0

    @staticmethod
    def answer_of(uid: RunUid, rows: Sequence[Row], limits: Limits) -> End:
        """Return the end of a Run whose rows are complete, without giving any command."""
        recorded = Recorded.of(rows)
        ending = recorded.ended
        if ending is None:
            raise ValueError(f"Run {recorded.started.id} has not ended")
        machine = RunMachine(0, uid, recorded, limits)
        run = machine.state
        run.ending = ending
        if ending.answer is not None and ending.answer.refs:
            revive(run, run.root, ending.answer)
        machine._answer()
        end = run.commands[-1]
        assert isinstance(end, End)
        return end


def _show_held(run: RunState) -> None:
    """Let the values of `sync` Steps be seen whose rows are durable now (G-b)."""
    for row in sorted([row for row in run.held if row <= run.committed]):
        for step in run.held.pop(row):
            propagate_held(run, step)
