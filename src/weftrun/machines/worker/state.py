"""What the machine of a Worker remembers: queues by Function, Sandboxes and what they were given."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct, field

from weftrun.machines.ranges import count, take
from weftrun.machines.worker.pools import Pools
from weftrun.machines.worker.strategies import Slices, as_run
from weftrun.model.commands import InvokeItems
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import BodyStart, Invocation
from weftrun.model.outcomes import Failure
from weftrun.model.policy import FunctionSpec
from weftrun.model.strategy import ADAPTIVE, Strategy
from weftrun.model.warm import UNRULED, Warm
from weftrun.model.work import Cold, InSlot, TickAt, WorkerCommand

Names = tuple[RunId, RunUid]
Running = tuple[int, int, bool, float]
"""Batch, index, entered, entered_at: what the page of a Sandbox says."""


class Seen(NamedTuple):
    """What the page of a Sandbox showed: what it ran last, what that had printed, and what was in its slots."""

    running: Running
    text: str = ""
    slots: tuple[InSlot, ...] = ()

    def slot(self, no: int, index: int) -> InSlot | None:
        """Return the slot in which a place of a Batch was."""
        return next((slot for slot in self.slots if (slot.batch, slot.index) == (no, index)), None)


class Entered(NamedTuple):
    """What a Sandbox is in: an Attempt of a Step, or of an item of a map, of the Run with this number."""

    run: int
    step: StepId
    attempt: int


class Items:
    """Items of one chunk of a map that wait for a Sandbox: `ranges` of what was `asked`, ascending, of `left` items."""

    __slots__ = ("asked", "left", "ranges", "run")

    def __init__(self, run: int, asked: InvokeItems, ranges: Iterable[tuple[int, int]]) -> None:
        self.run = run
        self.asked = asked
        self.ranges = deque(ranges)
        self.left = count(self.ranges)

    def take(self, most: int) -> tuple[tuple[int, int], ...]:
        """Take up to `most` items from the front."""
        taken = take(self.ranges, most)
        self.left -= count(taken)
        return tuple(taken)


class Lane:
    """The queue of one Function in one profile.

    Attributes:
        function: as it is run.
        singles: Invocations with the number of their Run.
        ranges: items of maps.
        each_s: moving average of the time one body takes; None before the first outcome.
        idle_ends: Sandboxes in a row that ended outside of any body, without having reported one.
        most: bodies that one Sandbox has at once.
        shares: whether a Sandbox runs more than one after the other.
        is_limited: whether its Function has a limit.
        window_s: length of a tick at whose end what waits is given out; 0 for as soon as may be.
        opens_at: when that is; 0 where nothing waits for it.
        held_until: nothing of it is given out before: what it has made has not left this host (see `pressure`).
        alone: whether each Invocation has a Sandbox for itself.
        planned: whether what waits is divided among Sandboxes ahead; `plan` is how many each of them gets next.
        sliced: whether each Invocation begins with a time slice.
    """

    __slots__ = (
        "alone", "each_s", "function", "held_until", "idle_ends", "is_limited", "most", "opens_at", "plan", "planned",
        "profile", "ranges", "ranges_left", "shares", "singles", "sliced", "window_s",
    )  # fmt: skip

    def __init__(self, function: FunctionSpec, profile: int, strategy: Strategy = ADAPTIVE) -> None:
        function = as_run(function, strategy)
        self.function = function
        self.profile = profile
        self.singles: deque[tuple[int, Invocation]] = deque()
        self.ranges: deque[Items] = deque()
        self.ranges_left = 0
        self.each_s: float | None = None
        self.idle_ends = 0
        sharing = function.sharing
        self.is_limited = function.limit > 0
        self.shares = sharing is not None and sharing.how != "serial"
        self.most = sharing.most if sharing is not None else 1
        self.window_s = (sharing.window_s or 0.0) if sharing is not None else 0.0
        self.opens_at = self.held_until = 0.0
        self.alone = strategy.name in ("vanilla", "sfs")
        self.planned = strategy.name == "kraken"
        self.plan: deque[int] = deque()
        self.sliced = strategy.name == "sfs" and function.privileges in ("drop", "keep")

    @property
    def waiting(self) -> int:
        """How many bodies wait to be entered."""
        return len(self.singles) + self.ranges_left


class Given(Struct, eq=False):
    """A Batch that a Sandbox has.

    Attributes:
        singles: its Invocations by position, None once told; empty for items of a map.
        items: the map's chunk, where it is a Batch of items; `open_items` are those not told.
        left: bodies not told.
    """

    no: int
    lane: Lane
    at: float
    singles: list[tuple[int, Invocation] | None] = []
    items: Items | None = None
    open_items: list[tuple[int, int]] = []
    left: int = 0


class PreparedAttempt(NamedTuple):
    """An Invocation that a Sandbox was given before it was asked for; its Batch is number `no`."""

    run: int
    step: int
    attempt: int
    box: Box
    no: int


class BoxState(enum.IntEnum):
    """Where a Sandbox stands; busy is told by what it was given."""

    STARTING = 0
    READY = 1
    DOOMED = 2
    """Told to end; what it has goes back when it is gone."""


class Turn(Struct, eq=False):
    """What a body does between two awaits, as the page of its Sandbox shows it.

    Attributes:
        number, index: the body, and the turn, counted by the Sandbox.
        entered: whether a body runs; what a Sandbox does between two of them counts as a turn of nobody.
        since: when it began, in seconds since the epoch.
        clock_s: how long it has gone on, as far as that counts.
        looked_at: when the page was read last; `starved_s` is how long the Sandbox had waited for a processor then.
    """

    number: int
    index: int
    entered: bool
    since: float
    clock_s: float
    looked_at: float = 0.0
    starved_s: float = 0.0


class Box(Struct, eq=False):
    """A Sandbox as the machine sees it.

    Attributes:
        bodies: Workflow bodies it holds, by their number; empty for a Sandbox that runs Functions.
        for_bodies: whether it holds bodies.
        turns: messages about bodies that it has not answered.
        turn: the turn that its page showed when it was looked at last; None where that one is over.
        overran: whether it was ended because that turn went on too long.
        left_at: when it was told to drop a body that may be in a turn; 0 when that is known to be over.
        late: whether it was ended because it did not start in time.
        doom: why we ended it, with what it ran then as (Batch, index); None where we did not, or it ran nothing.
        overdue: of one that runs several at once, all that it was ended for, as (Batch, index).
        revoked: Attempts that must not run on in it, as (Run, Step, Attempt).
        blamed: what fails because no Sandbox lives long enough to tell of it, as (Batch, index).
        held_bytes: what ending it would give back, as it was measured since it was used last; None where it was not.
        used_clock: the clock of greedy-dual when it was used last.
        is_ahead: whether it was made though nothing waited for it.
    """

    id: SandboxId
    profile: int
    for_bodies: bool
    idle_since: float
    state: BoxState = BoxState.STARTING
    given: deque[Given] = field(default_factory=deque)
    bodies: set[int] = set()
    turns: int = 0
    turn: Turn | None = None
    overran: bool = False
    left_at: float = 0.0
    late: bool = False
    doom: tuple[Failure, int, int] | None = None
    overdue: dict[tuple[int, int], Failure] = {}
    revoked: set[tuple[int, int, int]] = set()
    revoked_at: float = 0.0
    blamed: tuple[int, int] | None = None
    held_bytes: int | None = None
    used_clock: float = 0.0
    is_ahead: bool = False

    @property
    def is_free(self) -> bool:
        """Whether it has nothing to do."""
        is_ready = self.state is BoxState.READY
        return is_ready and not (self.given or self.bodies or self.turns or self.left_at)


class Held(Struct, eq=False):
    """A Workflow's body that is in a Sandbox, or waits for one; `has_turn` says whether it is to run there."""

    number: int
    run: int
    step: int
    attempt: int
    start: BodyStart
    box: Box | None = None
    has_turn: bool = False


class WorkerState:
    """All that the machine of a Worker remembers.

    Attributes:
        names: id and uid of open Runs by number.
        profiles: number of the profile that each Run's Sandboxes have; a second one without network by Function.
        sandboxes_max: Sandboxes that run Functions at once; those that hold bodies are counted apart.
        failed_starts: starts in a row that failed, by profile.
        tick_at: when the next tick was asked for; 0 for never.
        parked: bodies that wait for a Sandbox, by profile.
        barred: nothing may be entered for now, so that bodies are parked.
        held_up: whether some turn goes on for so long that bodies may wait behind it.
        prepared: what was given to a Sandbox before it was asked for, until it is.
        withdrawn: the Sandbox that has not said yet that it knows of a Batch which was withdrawn; None for none.
        places: of each Function with a limit, how many of its Attempts may run here at once.
        strategy: by what rule Invocations get their Sandboxes; `slices` is how long SFS lets one run in front of all.
        ended: how the last Sandbox of each profile came to its end.
        warm: what is known of Sandboxes that wait for work.
    """

    def __init__(
        self, limits: Limits, sandboxes_max: int, strategy: Strategy = ADAPTIVE, rules: Warm = UNRULED
    ) -> None:
        self.limits = limits
        self.strategy = strategy
        self.slices = Slices(strategy.processors)
        self.ended: dict[int, Cold] = {}
        self.warm = Pools(rules)
        self.sandboxes_max = sandboxes_max
        self.lanes: dict[tuple[int, FunctionSpec], Lane] = {}
        self.active: dict[Lane, None] = {}
        self.boxes: dict[SandboxId, Box] = {}
        self.bodies: dict[int, Held] = {}
        self.by_step: dict[tuple[int, int], Held] = {}
        self.parked: dict[int, list[Held]] = {}
        self.barred = False
        self.held_up = False
        self.prepared: PreparedAttempt | None = None
        self.withdrawn: Box | None = None
        self.places: dict[str, int] = {}
        self.names: dict[int, Names] = {}
        self.failed_starts: dict[int, int] = {}
        self.last_box = 0
        self.last_batch = 0
        self.last_body = 0
        self.tick_at = 0.0
        self.commands: list[WorkerCommand] = []

    def look_by(self, at: float) -> None:
        """Want a tick at `at`, or before."""
        if not self.tick_at or at < self.tick_at:
            self.tick_at = at
            self.commands.append(TickAt(at))
