"""What the Journal knows of a Run, by Step. Growth consults it, so that recovery walks the same road again."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from weftrun.machines.run.lives import Lives, bodies_around, dropped_signals
from weftrun.model.graph import Chunk
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure
from weftrun.model.records import (
    Abandoned,
    AttemptFailed,
    AttemptStarted,
    Branched,
    CancelAsked,
    CanUndo,
    Chunked,
    Ended,
    ForkedFrom,
    Graphed,
    ItemsSettled,
    Observed,
    Received,
    Record,
    Retried,
    RollbackFailed,
    Row,
    Settled,
    Started,
    StepOutcome,
    Undoing,
    Undone,
)


class Recorded(Struct, eq=False):
    """Rows of one Run, folded by Step. Empty but for the start record when the Run is new.

    Attributes:
        outcomes: by Step, with the row and the time of the record.
        numbers: Step that an async body's call became, by body and call number.
        chunks: of maps, by Step and Attempt of the body.
        items: of maps, by Step, with the row and the time.
        failed: Attempts that were followed by another, by Step.
        begun: the Attempt that was begun last, by Step with a rollback, and how often it was.
        undone_in_vain: how the rollback of that Attempt failed last, by Step.
        lives: what earlier lives have left (L1).
        undoable: bodies that have done what can be undone; `undoing` those that were to undo it in the current life,
            and `undone` those that have.
        forked: how the Run was forked from another one, and `forked_at` when; None for one that was started.
    """

    started: Started
    at: float = 0.0
    started_at: float = 0.0
    seq: int = 0
    ordinal: int = 0
    outcomes: dict[StepId, tuple[StepOutcome, int, float]] = {}
    numbers: dict[StepId, dict[int, StepId]] = {}
    graphs: dict[StepId, Graphed] = {}
    chunks: dict[StepId, dict[int, list[Chunked]]] = {}
    items: dict[StepId, list[tuple[ItemsSettled, int, float]]] = {}
    failed: dict[StepId, list[AttemptFailed]] = {}
    begun: dict[StepId, tuple[AttemptStarted, int]] = {}
    undone_in_vain: dict[StepId, RollbackFailed] = {}
    messages: set[str] = set()
    ended: Ended | None = None
    lives: Lives = field(default_factory=Lives)
    undoable: set[StepId] = set()
    undoing: dict[StepId, Undoing] = {}
    undone: set[StepId] = set()
    forked: ForkedFrom | None = None
    forked_at: float = 0.0

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Recorded:
        """Fold the rows of a Run, in order; the first record is its start."""
        first = rows[0].records[0]
        if not isinstance(first, Started):
            raise ValueError("the first record of a Run is its start")
        recorded = cls(first, rows[0].at, rows[0].at)
        for row in rows:
            recorded._fold(row)
        return recorded

    def _fold(self, row: Row) -> None:
        self.seq = row.seq
        self.at = row.at
        for record in row.records:
            match record:
                case Settled():
                    for outcome in record.outcomes:
                        self.outcomes[outcome.step] = (outcome, row.seq, row.at)
                        self.ordinal = max(self.ordinal, outcome.ordinal)
                        self._settled(outcome.step, outcome.call)
                case ItemsSettled():
                    self.items.setdefault(record.step, []).append((record, row.seq, row.at))
                    self.ordinal = max(self.ordinal, record.ordinal)
                    self._settled(record.step, record.call)
                case Graphed():
                    self.graphs[record.step] = record
                case Chunked():
                    told = self.chunks.setdefault(record.step, {}).setdefault(record.attempt, [])
                    if record.chunk.lo == 0:
                        told.clear()
                    told.append(record)
                    self.ordinal = max(self.ordinal, record.ordinal)
                case AttemptFailed() | AttemptStarted() | RollbackFailed():
                    self._fold_attempt(record)
                case _:
                    self._fold_life(record)

    def _fold_life(self, record: Record) -> None:
        match record:
            case CancelAsked():
                self.messages.add(record.message)
            case Ended():
                self.ended = record
            case Retried():
                begin_life(self, record.life)
            case Abandoned():
                self.lives.touched.update(record.steps)
            case Branched():
                self.lives.branched(record)
            case Received():
                self.messages.add(record.message)
            case CanUndo():
                self.undoable.add(record.step)
            case Undoing():
                self.undoing[record.step] = record
            case Undone():
                self.undone.add(record.step)
            case ForkedFrom():
                self.forked = record
                self.forked_at = self.at
                self.started_at = record.began_at
            case _:
                pass

    def _fold_attempt(self, record: AttemptFailed | AttemptStarted | RollbackFailed) -> None:
        if isinstance(record, AttemptFailed):
            self.failed.setdefault(record.step, []).append(record)
            return
        if isinstance(record, RollbackFailed):
            self.undone_in_vain[record.step] = record
            return
        last, times = self.begun.get(record.step, (record, 0))
        self.begun[record.step] = record, times + 1 if last.attempt == record.attempt else 1
        self.undone_in_vain.pop(record.step, None)
        self._number(record.step, record.call)

    def _settled(self, step: StepId, call: Observed | None) -> None:
        if self.lives.life > 1:
            self.lives.settled[step] = self.lives.life
        self._number(step, call)

    def _number(self, step: StepId, call: Observed | None) -> None:
        if call is not None:
            self.numbers.setdefault(call.body, {})[call.number] = step
            if self.lives.life > 1:
                self.lives.numbered[call.body, call.number] = self.lives.life

    def unnumber(self, step: StepId, call: Observed | None) -> None:
        """Forget as which call of an async body a Step was made: the next life may make another one there."""
        if call is not None and self.numbers.get(call.body, {}).get(call.number) == step:
            del self.numbers[call.body][call.number]

    def call_of(self, step: StepId) -> Observed:
        """Return what the record of a settled Step tells of the async body's call that it was."""
        call = self.outcomes[step][0].call if step in self.outcomes else self.items[step][-1][0].call
        if call is None:
            raise ValueError(f"{step} was not called by an async body")
        return call

    def map_chunks(self, step: StepId, attempt: int | None) -> list[Chunk]:
        """Return the recorded chunks of a map if its items are fixed, else nothing.

        `attempt` is the body's Attempt that a `def` body's graph names; None takes the Attempt that came to its end.
        """
        told = self.chunks.get(step, {})
        for number, chunks in told.items():
            if chunks[-1].chunk.last and attempt in (None, number):
                return [chunked.chunk for chunked in chunks]
        return []

    def map_ordinal(self, step: StepId) -> int:
        """Return the place in the order of settling that an empty map has taken."""
        return max((c[-1].ordinal for c in self.chunks.get(step, {}).values() if c[-1].chunk.last), default=0)

    def uncounted(self, step: StepId) -> int:
        """Return how many Attempts its policy does not count: of earlier lives, and those without a record (S1)."""
        used = self.lives.used(step)
        failed = [failed for failed in self.failed.get(step, ()) if failed.item < 0]
        return failed[-1].attempt - len(failed) if failed and failed[-1].attempt > used else used

    def attempts(self, step: StepId, item: int) -> tuple[int, float, Failure | None]:
        """Return the number of the next Attempt of a Step or item, its due time, and the last failure."""
        number, due, failure = self.lives.used(step, item) + 1, 0.0, None
        for failed in self.failed.get(step, ()):
            if failed.item == item:
                number, due, failure = failed.attempt + 1, failed.due_at, failed.failure
        if item < 0 and step in self.undone_in_vain:
            due = max(due, self.undone_in_vain[step].due_at)
        return number, due, failure


def begin_life(recorded: Recorded, life: int) -> None:
    """Take back what failed, and the Run's end; keep every success (L1).

    What is inside a body that succeeded stands for ever. An async body that has ended without success is replayed.
    """
    lives = recorded.lives
    _drop_signals(recorded)
    lives.begin(life, recorded)
    for step, graph in list(recorded.graphs.items()):
        if graph.numbers and not _has_succeeded(recorded, step) and not _stands(recorded, step):
            del recorded.graphs[step]
    for step, (outcome, _, _) in list(recorded.outcomes.items()):
        if isinstance(outcome.outcome, Failure) and not _stands(recorded, step):
            del recorded.outcomes[step]
            recorded.unnumber(step, outcome.call)
            lives.take_back(step, -1, 0 if outcome.cause else outcome.attempt)
    for step, settled in recorded.items.items():
        if not _stands(recorded, step):
            for record, _, _ in settled:
                for failed in record.failures:
                    lives.take_back(step, failed.index, failed.failure.attempt)
            settled[:] = [(replace(record, failures=()), seq, at) for record, seq, at in settled]
    for step, attempts in recorded.failed.items():
        for attempt in attempts:
            lives.use(step, attempt.item, attempt.attempt)
    recorded.failed.clear()
    recorded.undoing.clear()
    recorded.undone.clear()
    recorded.undone_in_vain.clear()
    recorded.begun = {step: (begun, 1) for step, (begun, _) in recorded.begun.items()}
    if recorded.ended is not None:
        lives.use(StepId(recorded.started.function.label), -1, recorded.ended.attempt)
        recorded.ended = None


def _drop_signals(recorded: Recorded) -> None:
    """Let the signals with which bodies have failed count as waits that have failed, so that another one is taken."""
    for step, failure in unfit_signals(recorded).items():
        outcome, row, at = recorded.outcomes[step]
        recorded.outcomes[step] = replace(outcome, outcome=failure), row, at


def unfit_signals(recorded: Recorded) -> dict[StepId, Failure]:
    """Return the Steps whose signals the next life drops, each with the failure of the body that could not read it."""

    def outcome_of(step: StepId) -> StepOutcome | None:
        known = recorded.outcomes.get(step)
        return known[0] if known is not None and not _stands(recorded, step) else None

    outcomes = [outcome.outcome for outcome, _, _ in recorded.outcomes.values() if not _stands(recorded, outcome.step)]
    failures = [outcome if isinstance(outcome, Failure) else None for outcome in outcomes]
    ended = recorded.ended.failure if recorded.ended is not None else None
    return dropped_signals([*failures, ended], outcome_of)


def _stands(recorded: Recorded, step: StepId) -> bool:
    return any(_has_succeeded(recorded, body) for body in bodies_around(step))


def _has_succeeded(recorded: Recorded, step: StepId) -> bool:
    known = recorded.outcomes.get(step)
    return known is not None and not isinstance(known[0].outcome, Failure)
