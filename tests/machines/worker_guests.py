"""What the machine of a Worker is tried with: Functions, and Sandboxes that do what they are told."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from weftrun.model.limits import Limits
from weftrun.model.messages import ItemOutcomes, Outcomes
from weftrun.model.outcomes import Failure, Outcome, Ran, Reason
from weftrun.model.policy import FunctionSpec, Kind, RetryPolicy
from weftrun.model.values import Inline, Tree

LIMITS = Limits(body_timeout_s=1.0)
FUNCTIONS = (
    FunctionSpec("m:quiet", "quiet", effects="none"),
    FunctionSpec("m:seen", "seen"),
    FunctionSpec("m:once", "once", retry=RetryPolicy(0)),
    FunctionSpec("m:timed", "timed", effects="none", timeout_s=1.0),
    FunctionSpec("m:alone", "alone", effects="none", reach=False),
)
FLOW = FunctionSpec("m:flow", "flow", Kind.WATCHING)
TREE = Tree(Inline(b"args"))
VALUE = Inline(b"value")
RAISED = Failure(Reason.RAISED, "ValueError", "no")
EPSILON_S = 1e-6
HELD_UP_S = 0.1
LOOK_S = 0.25
REVOKED_S = 0.05
SPARE = 2
SLEPT_S = 1.0
"""An engine whose tick is later than this stood still: what Sandboxes said meanwhile is not heard yet."""

Key = tuple[int, int, int, int]
"""Run, Step, item (-1 for a single Invocation), Attempt."""


def profile_of(function: FunctionSpec) -> int:
    return 1 if function.network else 2


@dataclass
class Sent:
    """A Batch in a Sandbox: what it is to run, how far it got, and what it has not told."""

    no: int
    function: FunctionSpec
    at: float
    keys: list[tuple[int, Key]]
    at_position: int = 0
    untold: list[tuple[int, Key, bool]] = field(default_factory=list)

    @property
    def done(self) -> bool:
        return self.at_position == len(self.keys)

    @property
    def open(self) -> list[Key]:
        """What it has not reported."""
        return [key for _, key in self.keys[self.at_position :]] + [key for _, key, _ in self.untold]


def message_of(no: int, untold: list[tuple[int, Key, bool]], ran: Ran) -> Outcomes | ItemOutcomes:
    """Return what a Sandbox says of bodies that it has left: position, key, and whether it failed."""
    if untold[0][1][2] < 0:
        ended = [(i, key, (None, RAISED) if failed else (VALUE, None)) for i, key, failed in untold]
        return Outcomes(no, tuple(Outcome(key[1], key[3], *how, ran, index=i, text="text") for i, key, how in ended))
    values = tuple((i, i + 1, VALUE) for i, _, failed in untold if not failed)
    failures = tuple((i, RAISED) for i, _, failed in untold if failed)
    return ItemOutcomes(no, values, failures, ran, "text")


@dataclass
class Guest:
    """A Sandbox: `page` is the (Batch, index, entered, entered_at) that the engine may read.

    One that holds bodies runs their `turns`, one after the other, as they came.
    """

    profile: int
    for_bodies: bool
    since: float
    ready: bool = False
    killed: bool = False
    sent: deque[Sent] = field(default_factory=deque)
    bodies: set[int] = field(default_factory=set)
    page: tuple[int, int, bool, float] = (0, -1, False, 0.0)
    turns: deque[int] = field(default_factory=deque)

    @property
    def front(self) -> int:
        """The body that runs; 0 for none."""
        return self.turns[0] if self.turns else 0

    def gets_turn(self, body: int, now: float) -> None:
        """Let a body run, after those before it."""
        self.turns.append(body)
        if len(self.turns) == 1:
            self.page = (body, self.page[1] + 1, True, now)

    def turn_ends(self, now: float) -> None:
        """The body that runs awaits or has ended: the next one runs."""
        self.turns.popleft()
        self.page = (self.turns[0], self.page[1] + 1, True, now) if self.turns else (*self.page[:2], False, 0.0)

    def runs_s(self, now: float) -> float:
        """How long the body that runs has gone on."""
        return now - self.page[3] if self.turns else 0.0


@dataclass
class Entered:
    """A body: in Sandbox `box` (None while it waits for one), in a turn, or awaiting what `child` will be."""

    run: int
    step: int
    attempt: int
    box: int | None = None
    turn: bool = False
    child: object = None


class IdleEnds:
    """Sandboxes in a row that ended while they ran nothing, by profile and Function."""

    def __init__(self) -> None:
        self.count: Counter[tuple[int, FunctionSpec]] = Counter()

    def whom_to_blame(self, guest: Guest) -> Key | None:
        """Count the end of a Sandbox; return what fails because it is the third in a row."""
        if not guest.sent or guest.killed or (guest.page[2] and guest.page[0] >= guest.sent[0].no):
            return None
        sent = guest.sent[0]
        lane = guest.profile, sent.function
        self.count[lane] = (self.count[lane] + 1) % 3
        return None if self.count[lane] else sent.keys[sent.at_position - len(sent.untold)][1]


def due_of(guest: Guest, now: float, revoked: set[tuple[int, int]]) -> float | None:
    """Return until when somebody must look at a Sandbox."""
    no, index, entered, at = guest.page
    if guest.killed:
        return None
    if not guest.ready:
        return max(now, guest.since + LIMITS.sandbox_start_s)
    if guest.turns:
        return now + LOOK_S
    if not guest.sent:
        return now + LIMITS.sandbox_idle_s
    due = now + LIMITS.sandbox_idle_s
    sent = guest.sent[0]
    if entered and sent.no == no:
        key = next(key for i, key in sent.keys if i == index)
        if sent.function.timeout_s is not None:
            due = max(at, now) + sent.function.timeout_s
        if key[:2] in revoked:
            due = min(due, now + 0.05)
    return due


def stand_still(guests: Iterable[Guest], late_s: float, now: float) -> None:
    """Let a tick come so late: those that are starting then have all their time again."""
    for guest in guests:
        if not guest.ready and late_s > SLEPT_S:
            guest.since = now
