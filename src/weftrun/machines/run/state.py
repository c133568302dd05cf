"""What the machine of a Run remembers: Steps, bodies, maps. Plain data with one owner; decisions stand beside it.

A Step and its Refs are objects here because a chain or a fan-out touches each one a few times only; the items of a
map are ranges and bitmaps, never objects.
"""

from __future__ import annotations

import enum
from collections import deque

from msgspec import Struct

from weftrun.machines.run.recorded import Recorded
from weftrun.model.commands import WHEN_READY, RunCommand, StartRules
from weftrun.model.events import Handed, Signal
from weftrun.model.graph import Call, Chunk
from weftrun.model.ids import ObjectId, RunUid, StepId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import NOT_RUN, Failure, Outcome, Ran, Success
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Ended, ItemsSettled, Observed, Record, StepOutcome, Unfit
from weftrun.model.values import Part, Payload


class State(enum.IntEnum):
    """Where a Step stands. `OVER` and above are final."""

    WAITING = 0
    """For values it takes, or for a call it must come after."""
    GATED = 1
    """Ready, but what it depends on is not durable yet (G-a)."""
    RUNNING = 2
    """Given to the Worker, or its body was entered."""
    BACKING_OFF = 3
    """An Attempt failed; the next one has a due time."""
    ENDING = 4
    """Its body ended; calls that the body made are still open (N1)."""
    UNDOING = 5
    """The rollback of an abandoned Attempt runs."""
    AWAITING = 6
    """A timer whose time has not come, or a signal that nobody has sent."""
    SUCCEEDED = 7
    FAILED = 8
    CANCELLED = 9


OVER = State.SUCCEEDED


class Lack(enum.IntEnum):
    """What the Journal lacks of a settled Step (C3)."""

    NOTHING = 0
    """Its outcome is in a row; or it has none, or none that anybody will ask for."""
    CLEAN = 1
    """Its success is in no row and would come out the same; nothing that it rests on must be logged."""
    REPLAYABLE = 2
    """Its success is in no row and would come out the same; what it rests on may have to be logged."""
    MUST_LOG = 3
    """Its success is in no row, and must be before anything that rests on it is (C1); its bytes are kept until then."""


class Step(Struct, eq=False):
    """One node of the graph.

    Attributes:
        need: the Run's row that must be durable before a reader of this value may do something visible.
        row: the Run's row that holds the outcome. Whoever looks at a value sees its place in time and order too, which
            only the row fixes: an async body that was shown a value rests on `row`, a reader of it on `need`.
        gate: the highest `need` among what this Step depends on; a visible Attempt waits for it.
        uses: how many may still read the value: open readers, the body that made the call until it ends, an answer.
        outcome: how it ended; None before, and for a map that succeeded (its parts stand in `map`).
        lack: what the Journal lacks of its outcome. While that is something, `row`, `ordinal` and, where the outcome is
            owed, `need` say nothing.
        called_at: what `weftrun.now()` said in the body when the call was made, of an async body.
        call: what the record of its outcome tells of its call; None but for calls of async bodies.
        used: how many of its Attempts its policy does not count: those in earlier lives (L1), and those that were taken
            back (S1).
        outputs: Steps of what its body puts before it ends; None for none.
        early: of an output that is not fixed yet, what was put; of a Step that ran ahead, how that ended.
        undoable: whether it is a call that its body can undo.
        hasty: whether it may run ahead on provisional values, or takes what such a Step gives.
    """

    index: int
    id: StepId
    function: FunctionSpec
    args: Payload
    inside: Body | None
    number: int
    state: State = State.WAITING
    after: tuple[int, ...] = ()
    waiting: int = 0
    attempt: int = 1
    used: int = 0
    need: int = 0
    row: int = 0
    gate: int = 0
    uses: int = 0
    lack: Lack = Lack.NOTHING
    ordinal: int = 0
    at: float = 0.0
    called_at: float = 0.0
    readers: list[tuple[Step, MapChunk | None]] | None = None
    outcome: Success | Failure | None = None
    ran: Ran = NOT_RUN
    call: Observed | None = None
    body: Body | None = None
    map: Map | None = None
    outputs: list[Step] | None = None
    early: Outcome | None = None
    hasty: bool = False
    undoable: bool = False


class Rollback(Struct, eq=False):
    """What the machine knows of undoing a Step's Attempts (R1).

    Attributes:
        begun: the Attempt whose record of its beginning was handed out last; 0 for none.
        pending: whether that Attempt was abandoned and is not undone yet.
        tried: how often its rollback has failed.
        args: its arguments, where its record holds them.
        times: how often it was begun, according to the Journal.
    """

    begun: int = 0
    pending: bool = False
    tried: int = 0
    args: Payload | None = None
    times: int = 0


class Body(Struct, eq=False):
    """The inside of a Workflow's Step: the calls it made and how far it got.

    Attributes:
        step: the Step whose body this is.
        functions: table that calls name by position, in order of first use by the current Attempt.
        calls: Steps by call number. A `def` body has them only when it ended (B1).
        made: how many calls the current Attempt has made; below `len(calls)` it repeats known ones.
        open: calls not settled.
        observed: highest ordinal delivered to the current Attempt; `observed_row` the last row that tells of what was.
        handled: origins of failures that the body was told of.
        awaits: calls that the body waits for now.
        entered: the body is in a Sandbox now.
        answer: what it returned; its Refs are calls of this body.
        wiring: calls that a `def` body has told so far, for the record of its graph.
        waiting_start: Steps that may start when the `def` body has ended; None when nothing is kept back.
        began: what `weftrun.now()` says in the body before anything was delivered to it: the same in every Attempt.
            `began_row` is the last row that this time rests on.
        since: what `weftrun.now()` says in the body: the time of the last outcome delivered to it.
        life: the life of the Run in which the current Attempt went another way last; 1 where it never did (L1).
        told: whether the current Attempt was told to undo what it has done.
        left_to_joins: calls whose failure does not fail this `def` body: only joins ask for what they give.
        before: how much it had observed, and how many calls it had made, when its turn began; None in the first turn.
    """

    step: Step
    functions: list[FunctionSpec] = []
    calls: dict[int, Step] = {}
    made: int = 0
    open: int = 0
    observed: int = 0
    observed_row: int = 0
    handled: set[StepId] = set()
    awaits: tuple[int, ...] = ()
    entered: bool = False
    answer: Payload | None = None
    wiring: list[Call] = []
    waiting_start: list[Step] | None = None
    began: float = 0.0
    began_row: int = 0
    since: float = 0.0
    life: int = 1
    told: bool = False
    left_to_joins: frozenset[int] = frozenset()
    before: tuple[int, int] | None = None


class MapChunk(Struct, eq=False):
    """Consecutive items of a map. `done` has a bit for each settled item, counted from `lo`."""

    lo: int
    count: int
    items: Payload
    done: int = 0
    waiting: int = 0
    gate: int = 0


class Map(Struct, eq=False):
    """Items of a map Step.

    Attributes:
        ordinal: place in the order of settling that the map takes if it has no items; 0 until the last chunk came.
        parts: results so far, in order of settling; sorted when the map settles.
        failures: final failures by item.
        attempts: number of the next Attempt, for items that had a failed one and are not settled.
        left: items not settled.
        overdue: items whose next Attempt was due before the values that it takes were there again.
        unrecorded: records of items that were left out so far; their ordinals are not given yet.
    """

    chunks: list[MapChunk] = []
    ordinal: int = 0
    total: int = 0
    left: int = 0
    parts: list[Part] = []
    failures: dict[int, Failure] = {}
    attempts: dict[int, int] = {}
    overdue: set[int] = set()
    unrecorded: list[ItemsSettled] = []

    def add(self, chunk: Chunk) -> None:
        """Take the next chunk of items."""
        if chunk.count:
            self.chunks.append(MapChunk(chunk.lo, chunk.count, chunk.items))
            self.total += chunk.count
            self.left += chunk.count


_ALL_ROWS = 1 << 62


class RunState:
    """All that the machine of one Run remembers.

    Attributes:
        number: the engine's number of the Run, carried by Invocations.
        durable: whether the Run keeps records. If it does not, `committed` is past all rows: gates are open.
        seq: last row handed out; `committed`: last row known to be durable.
        row: seq of the row that the records of the event in hand will have.
        ordinal: last place given in the order of settling.
        records, outcomes: what the event in hand adds to the next row, in order.
        starts: how Steps come to start; `armable` are those that may be armed next.
        hopeful: Steps of which something that they take has come, or is fixed: they may run ahead, or have done so.
        puts: Steps that wait for what they have put durably to be fixed, with the output and the Attempt.
        ready: Steps (and chunks of maps) to be started when the event in hand is done with.
        deliverable: bodies to which an awaited outcome may be delivered.
        pending_failures, failed_dependents, completions: consequences not drawn yet: bodies that fail, Steps whose
            argument failed, bodies whose last open call has settled.
        gated: what waits for a row to be durable, by row.
        held: settled `sync` Steps whose readers wait for a row, by row (G-b).
        due: due times of next Attempts, and of waits.
        cancel: the message that asks for a cancel which has not begun yet, since a body goes on; `undoing_row` is the
            last row that tells a body to undo what it has done.
        signals: those that came and that no Step has taken, by name; `listening` are Steps that wait for one, by name,
            some of them over. `heard` is the place of the last one that was told, taken or not.
        has_lacked: whether any Step has settled without a record.
        watches: whether any Step is the call of an async body.
        rollbacks: of Steps whose Function has one, by index.
        arrived: calls whose values have come for a join that needs some of them, in that order, by its index; `decided`
            are joins that are over, and whose other candidates are to be let go.
        hurried: last row that somebody was told to wait for.
        wake_at: the next due time, once it was asked for; `waits_until` the last one of which it was told that nothing
            is done before it.
        seen_at_work: index of the Step that was at work when it was asked last.
        waits: how many Attempts, those of a map's items among them, waited for the disk.
        gated_s: for how long any of them did, in seconds; one that does now has since `gated_since`.
        code: digest of the code that there is now; empty where it is not known. `is_other_code` says whether it is
            known to be other code than the Run was begun with.
        handed: visible calls of async bodies that engines before this one had handed over, by body and number.
        told: calls that the trace was told of as they were handed over, by index, and whether as visible ones.
        unfit: what does not fit of it, once that was handed out in row `unfit_row`.
        abandoned: calls of async bodies that were under way when their body was given up.
        ending: the last record, once it was handed out in row `ended_row`.
    """

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
        started = recorded.started
        self.recorded = recorded
        self.number = number
        self.uid = uid
        self.started = started
        self.limits = limits
        self.seq = recorded.seq
        self.row = recorded.seq + 1
        self.committed = recorded.seq if durable else _ALL_ROWS
        self.durable = durable
        self.ordinal = recorded.ordinal
        self.now = recorded.at
        self.steps: list[Step] = []
        self.records: list[Record] = []
        self.outcomes: list[StepOutcome] = []
        self.commands: list[RunCommand] = []
        self.starts = starts
        self.armable: list[Step] = []
        self.hopeful: list[Step] = []
        self.decided: list[Step] = []
        self.puts: list[tuple[Step, Step, int]] = []
        self.ready: list[Step] = []
        self.ready_chunks: list[tuple[Step, MapChunk]] = []
        self.revoked: list[int] = []
        self.released: list[ObjectId] = []
        self.deliverable: list[Body] = []
        self.pending_failures: list[tuple[Body, Failure]] = []
        self.failed_dependents: list[tuple[Step, Failure, int]] = []
        self.completions: list[Body] = []
        self.gated: dict[int, list[tuple[Step, MapChunk | None]]] = {}
        self.held: dict[int, list[Step]] = {}
        self.due: list[tuple[float, int, int]] = []
        self.wake_at = self.waits_until = 0.0
        self.seen_at_work = self.waits = self.hurried = 0
        self.gated_s = self.gated_since = 0.0
        self.rollbacks: dict[int, Rollback] = {}
        self.arrived: dict[int, list[int]] = {}
        self.has_lacked = self.watches = False
        self.messages, self.undoing_row = set(recorded.messages), recorded.seq
        self.signals: dict[str, deque[Signal]] = {}
        self.listening: dict[str, deque[Step]] = {}
        self.heard = self.unfit_row = self.ended_row = 0
        self.root = Step(0, StepId(started.function.label), started.function, started.args, None, 0)
        self.steps.append(self.root)
        self.abandoned: list[StepId] = []
        self.code, self.cancel, self.is_other_code = "", "", False
        self.handed: dict[tuple[StepId, int], Handed] = {}
        self.told: dict[int, bool] = {}
        self.unfit: Unfit | None = None
        self.ending: Ended | None = None

    def hold_at_gate(self, row: int, step: Step, chunk: MapChunk | None = None) -> None:
        """Let a Step, or a chunk of a map, wait until a row is durable (G-a)."""
        if not self.gated:
            self.gated_since = self.now
        self.waits += 1 if chunk is None else chunk.count
        self.gated.setdefault(row, []).append((step, chunk))
