"""Time and turns of one simulated world, shared by its processes: nothing waits, and the next turn is a seeded draw.

What is ready stands in *strands*. Callbacks of one strand keep their order; which strand goes next is drawn. When
nothing is ready, time jumps to the next timer. A process that stands still keeps its turns, and one that ended loses
them; time goes on for the others.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import Crash

START = 1_700_000_000.0
"""When simulated histories begin, in seconds since the epoch."""

_TURNS_MAX = 500_000
_TURNS_AT_ONE_TIME_MAX = 20_000


class Stuck(AssertionError):
    """The scenario can't go on, or took longer than it may: a lost wake-up, a gate that never opens, a busy circle."""


class Turns:
    """The turns of one process, or of a part of one.

    Attributes:
        computes: its timers tell how long it is at something, and wait for it to go on when it stands still.
        parked: what became ready while it stands still, by strand; None while it goes.
        ended: whether none of its turns will ever come.
        crashed: called with a crash that one of its turns came to; without it the crash goes to whoever runs the world.
    """

    __slots__ = ("computes", "crashed", "ended", "parked", "prefix")

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.computes = False
        self.parked: dict[str, deque[SimTurn]] | None = None
        self.ended = False
        self.crashed: Callable[[Crash], None] | None = None


class SimTurn:
    """One callback that was scheduled."""

    __slots__ = ("call", "turns")

    def __init__(self, turns: Turns, call: Callable[[], None]) -> None:
        self.turns = turns
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Do not call it."""
        self.call = None


class Clockwork:
    """What happens next.

    Attributes:
        now: virtual time, in seconds since the epoch.
        turns: how many callbacks were called.
        ready: turns that may come now, by strand.
    """

    def __init__(self, chance: Chance) -> None:
        """Begin at `START`; `chance` draws what goes next."""
        self.now = START
        self.turns = 0
        self.ready: dict[str, deque[SimTurn]] = {}
        self._chance = chance
        self._hash = hashlib.sha256()
        self._timers: list[tuple[float, int, str, SimTurn]] = []
        self._counter = 0
        self._spinning = 0
        self._own = Turns("")

    @property
    def digest(self) -> str:
        """A hash of every decision so far; equal seeds must give equal ones."""
        return self._hash.hexdigest()

    def schedule(self, at: float, strand: str, turn: SimTurn) -> None:
        """Make a turn ready at a time."""
        self._counter += 1
        heapq.heappush(self._timers, (at, self._counter, strand, turn))

    def make_ready(self, strand: str, turn: SimTurn) -> None:
        """Let a turn come after those of its strand."""
        turns = turn.turns
        if not turns.ended:
            ready = self.ready if turns.parked is None else turns.parked
            ready.setdefault(turns.prefix + strand, deque()).append(turn)

    # ------------------------------------------------------------------ running

    def run(self, until: Callable[[], bool], *, within_s: float) -> None:
        """Take turns until the condition holds; `Stuck` if it can't, or not within `within_s` of virtual time."""
        deadline = self.now + within_s
        last = self.turns + _TURNS_MAX
        while not until():
            if not self.turn():
                raise Stuck("nothing is ready and no timer is set, but the scenario is not done")
            if self.now > deadline:
                raise Stuck(f"the scenario is not done after {within_s:g} s of virtual time")
            if self.turns > last:
                raise Stuck(f"the scenario is not done after {_TURNS_MAX:,} turns")

    def turn(self) -> bool:
        """Call what is drawn next; False if nothing is scheduled at all."""
        while not self.ready:
            if not self._timers:
                return False
            self._advance()
        strand = self._draw()
        waiting = self.ready[strand]
        turn = waiting.popleft()
        if not waiting:
            del self.ready[strand]
        if turn.call is not None:
            self.turns += 1
            self._spinning += 1
            if self._spinning > _TURNS_AT_ONE_TIME_MAX:
                raise Stuck(f"{_TURNS_AT_ONE_TIME_MAX:,} turns at one time: something asks for a time that has passed")
            try:
                turn.call()
            except Crash as crash:
                if turn.turns.crashed is None:
                    raise
                turn.turns.crashed(crash)
        return True

    def _advance(self) -> None:
        """Go to the time of the next timer and make ready all that is due then."""
        if self._timers[0][0] > self.now:
            self.now = self._timers[0][0]
            self._hash.update(b"%r " % self.now)
            self._spinning = 0
        while self._timers and self._timers[0][0] <= self.now:
            _, _, strand, turn = heapq.heappop(self._timers)
            if turn.call is not None:
                self.make_ready(strand, turn)

    def _draw(self) -> str:
        names = list(self.ready)
        name = names[0] if len(names) == 1 else names[self._chance.below(len(names))]
        self._hash.update(name.encode())
        return name

    # ------------------------------------------------------------------ standing still and ending

    def stand_still(self, still: tuple[Turns, ...], seconds: float) -> None:
        """Let the others go on until so many seconds have passed, from within a turn of one of these.

        Where others stand still at the end of that time, it lasts until they go on. If what stood still was ended
        meanwhile, `Crash` ends the turn.
        """
        until = self.now + seconds
        self.schedule(until, "waking", SimTurn(self._own, lambda: None))
        since = self.now
        put_off = [timer for timer in self._timers if timer[3].turns in still and timer[3].turns.computes]
        self._timers = [timer for timer in self._timers if not (timer[3].turns in still and timer[3].turns.computes)]
        heapq.heapify(self._timers)
        for turns in still:
            turns.parked = {}
            for strand in self._strands_of(turns):
                turns.parked[strand] = self.ready.pop(strand)
        while self.now < until:
            self.turn()
        for turns in still:
            parked, turns.parked = turns.parked, None
            if parked and not turns.ended:
                self.ready.update(parked)
        for at, counter, strand, turn in put_off:
            if not turn.turns.ended:
                heapq.heappush(self._timers, (at + self.now - since, counter, strand, turn))
        if any(turns.ended for turns in still):
            raise Crash("it was killed while it stood still")

    def end(self, turns: Turns) -> None:
        """Forget everything scheduled by these, as when the process died."""
        turns.ended = True
        for strand in self._strands_of(turns):
            del self.ready[strand]
        self._timers = [timer for timer in self._timers if timer[3].turns is not turns]
        heapq.heapify(self._timers)

    def _strands_of(self, turns: Turns) -> list[str]:
        return [strand for strand, waiting in self.ready.items() if waiting[0].turns is turns]
