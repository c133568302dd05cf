"""What a part remembers: Steps that it knows, records that it holds, what it owes. Decisions stand beside it."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

from weftrun.machines.share.plan import Plan
from weftrun.model.ids import RunUid, StepId, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Ran, Success
from weftrun.model.policy import FunctionSpec
from weftrun.model.records import Ended, Graphed, StepOutcome
from weftrun.model.share import Held, Name, Node, PartCommand
from weftrun.model.values import Payload, Tree


class At(enum.IntEnum):
    """Where a Step stands whose home is here, and that has no outcome yet."""

    WAITING = 0
    """For values, for other Workers to tell what they hold, or for its due time."""
    GATED = 1
    """For records to be durable (G-a)."""
    RUNNING = 2


class Here:
    """A Step whose home is here.

    Attributes:
        attempt: the one that runs, or the next one.
        due: when that may start (seconds since the epoch).
        rests: what its entry rested on, while it runs.
    """

    __slots__ = ("at", "attempt", "due", "rests")

    def __init__(self) -> None:
        self.at = At.WAITING
        self.attempt = 1
        self.due = 0.0
        self.rests: tuple[Name, ...] = ()


class Inside:
    """An async body that is entered here, or the graph of the root.

    Attributes:
        calls: Steps by call number.
        made: how many calls the current Attempt has made.
        shown: how many outcomes it was shown.
        awaits: calls that it waits for now.
        seen: Steps whose outcomes it was shown.
        ended: the body has ended, with `answer` or `failure`; its calls may be open.
    """

    __slots__ = ("answer", "awaits", "calls", "ended", "failure", "functions", "made", "ran", "seen", "shown", "step")

    def __init__(self, step: StepId) -> None:
        self.step = step
        self.functions: list[FunctionSpec] = []
        self.calls: dict[int, StepId] = {}
        self.made = 0
        self.shown = 0
        self.awaits: tuple[int, ...] = ()
        self.seen: set[StepId] = set()
        self.ended = False
        self.answer: Payload | None = None
        self.failure: Failure | None = None
        self.ran = Ran()


class PartState:
    """All that a part remembers.

    Attributes:
        plan: the one it goes by; None before the first, and while the Worker is left out.
        epoch: of the last plan that it has looked at.
        root: the Run's first Step.
        graph: of a `def` root.
        nodes, readers: Steps that are known, and by which of them each is read, or come after.
        numbers: Step of each call, by body and number, as far as records or nodes tell.
        held: records by name. What a record names and is not in here is durable (M1).
        fixed: names that are known to be durable, of which there may be more than `held` has.
        fresh: names of `fixed` that became durable under the current plan, as far as rows and own appends tell.
        order: names of outcomes in the order in which they came, for a body that waits for the first of several.
        here: Steps whose home is here and that have no outcome.
        inside: bodies that are entered here, and the root's graph.
        changed: Steps to be looked at again when the event in hand is done with.
        asked: plans in a row, beginning with one under which all others had told what they hold.
        answered: Workers that have told under the current plan.
        owed, owed_nodes, owed_answers: what other Workers must be told, with the time when it is said (again).
        wanted: names to be made durable as soon as their bytes are.
        appending: number, epoch and records of the append that is under way.
        storing, stored: blobs on their way to be durable, and there.
        loading: rows are being read.
        load_at: when to read them again; 0 for never.
        stale: the epoch was raised, and no plan of the new one was seen yet.
        ended: the Run's last record; known to be durable if `over`.
    """

    def __init__(self, me: WorkerId, uid: RunUid, limits: Limits, resend_s: float) -> None:
        self.me = me
        self.uid = uid
        self.limits = limits
        self.resend_s = resend_s
        self.now = 0.0
        self.plan: Plan | None = None
        self.epoch = 0
        self.number = 0
        self.wake_at = 0.0
        self.loading = False
        self.load_at = 0.0
        self.stale = False
        self.over = False
        self.commands: list[PartCommand] = []
        self.stored: set[str] = set()
        self.storing: set[str] = set()
        self.forget()

    def forget(self) -> None:
        """Begin as one that knows nothing of the Run."""
        self.root: Node | None = None
        self.graph: Graphed | None = None
        self.nodes: dict[StepId, Node] = {}
        self.numbers: dict[tuple[StepId, int], StepId] = {}
        self.readers: dict[StepId, set[StepId]] = {}
        self.held: dict[Name, Held] = {}
        self.fixed: set[Name] = set()
        self.fresh: set[Name] = set()
        self.order: dict[Name, int] = {}
        self.here: dict[StepId, Here] = {}
        self.inside: dict[StepId, Inside] = {}
        self.changed: set[StepId] = set()
        self.asked: list[Plan] = []
        self.answered: set[WorkerId] = set()
        self.owed: dict[WorkerId, dict[Name, float]] = {}
        self.owed_nodes: dict[WorkerId, dict[StepId, float]] = {}
        self.owed_answers: dict[WorkerId, float] = {}
        self.wanted: set[Name] = set()
        self.appending: tuple[int, int, tuple[Held, ...]] | None = None
        self.ended: Ended | None = None

    @property
    def others(self) -> tuple[WorkerId, ...]:
        """The other Workers of the plan."""
        return tuple(worker for worker in self.plan.workers if worker != self.me) if self.plan is not None else ()

    def is_home(self, step: StepId) -> bool:
        """Say whether a Step is at home here."""
        return self.plan is not None and self.plan.home(step) == self.me

    def outcome(self, step: StepId) -> StepOutcome | None:
        """Return the outcome of a Step if it may be read here: of a `sync` one, once it is durable (G-b)."""
        name = (step, 0)
        held = self.held.get(name)
        return held.outcome if held is not None and (name in self.fixed or not held.sync) else None

    def tree(self, payload: Payload, steps: Sequence[StepId]) -> Tree:
        """Return a payload with the values of `steps` where its Refs stand, one for each."""
        holes = []
        for ref, step in zip(payload.refs, steps, strict=True):
            known = self.outcome(step)
            if known is None or not isinstance(known.outcome, Success):
                raise ValueError(f"{step} has no value yet")
            value = known.outcome.value
            holes.append(Tree(value.data, path=ref.path))
        return Tree(payload.data, tuple(holes))

    @property
    def all_answered(self) -> bool:
        """Whether all others of the plan have told what they hold."""
        return self.answered.issuperset(self.others)

    def change_gated(self) -> None:
        """Look again at what waits for records to be durable."""
        self.change([step for step, here in self.here.items() if here.at is At.GATED])

    def change(self, steps: Iterable[StepId]) -> None:
        """Look at these Steps again."""
        self.changed.update(step for step in steps if step in self.here)
