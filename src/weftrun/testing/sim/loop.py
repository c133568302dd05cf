"""The port Loop under virtual time: nothing here waits, and the next turn is a seeded draw.

What is ready stands in *strands*. Callbacks of one strand keep their order (a lane, a channel and `call_soon` promise
that); which strand goes next is drawn. So every order that the real loop could show can come up, and no other.
When nothing is ready, time jumps to the next timer.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import deque
from collections.abc import Callable, Mapping

from weftrun.testing.sim.chance import Chance

START = 1_700_000_000.0
"""When simulated histories begin, in seconds since the epoch."""

Delays = tuple[float, float]
"""Bounds of a seeded delay, in seconds."""

_LANE_DELAYS: Delays = (0.0002, 0.002)
_TURNS_MAX = 500_000
_TURNS_AT_ONE_TIME_MAX = 20_000


class Stuck(AssertionError):
    """The scenario can't go on, or took longer than it may: a lost wake-up, a gate that never opens, a busy circle."""


class _Turn:
    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Do not call it."""
        self.call = None


class SimLoop:
    """Time and turns of one simulated world.

    Attributes:
        turns: how many callbacks were called.
    """

    def __init__(
        self, chance: Chance, *, lanes: Mapping[str, Delays] | None = None, busy: float = 0.0, fifo: bool = False
    ) -> None:
        """Make a loop at `START`.

        Args:
            chance: draws the next strand and the delays.
            lanes: how long a work of a lane takes, in seconds; 0.2 to 2 ms where a lane is not named.
            busy: how often `idle` says no though nothing waits, so that work goes to its lane.
            fifo: what became ready first goes first, whatever its strand.
        """
        self.turns = 0
        self._chance = chance
        self._now = START
        self._lane_delays = dict(lanes or {})
        self._busy = busy
        self._fifo = fifo
        self._hash = hashlib.sha256()
        self._counter = 0
        self._spinning = 0
        self.clear()

    def clear(self) -> None:
        """Forget everything scheduled, as when the process died. Time stays."""
        self._ready: dict[str, deque[_Turn]] = {}
        self._timers: list[tuple[float, int, str, _Turn]] = []
        self._due: dict[str, float] = {}
        self._lanes: dict[str, deque[tuple[Callable[[], None], Callable[[], None]]]] = {}

    @property
    def digest(self) -> str:
        """A hash of every decision so far; equal seeds must give equal ones."""
        return self._hash.hexdigest()

    # ------------------------------------------------------------------ the port

    def now(self) -> float:
        """Return the virtual time, in seconds since the epoch."""
        return self._now

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what was scheduled so before."""
        self._make_ready("soon", _Turn(callback))

    def call_at(self, at: float, callback: Callable[[], None]) -> _Turn:
        """Call back at a virtual time."""
        return self._schedule(max(at, self._now), "timers", callback)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Call back in the loop."""
        self._make_ready("threads", _Turn(callback))

    def offload(self, work: Callable[[], None], done: Callable[[], None], *, lane: str) -> None:
        """Run `work` at a later turn of its lane, then `done` at another."""
        waiting = self._lanes.setdefault(lane, deque())
        waiting.append((work, done))
        if len(waiting) == 1:
            self._start_lane(lane)

    def idle(self) -> bool:
        """Say whether nothing is ready; sometimes says no all the same, as the port allows."""
        return not self._ready and not (self._busy and self._chance.happens(self._busy))

    # ------------------------------------------------------------------ for the simulated world

    def after(self, delays: Delays, strand: str, callback: Callable[[], None]) -> _Turn:
        """Call back after a drawn delay, never before what was scheduled earlier on the same strand."""
        at = max(self._now + self._chance.between(*delays), self._due.get(strand, 0.0))
        self._due[strand] = at
        return self._schedule(at, strand, callback)

    def run(self, until: Callable[[], bool], *, within_s: float) -> None:
        """Take turns until the condition holds; `Stuck` if it can't, or not within `within_s` of virtual time."""
        deadline = self._now + within_s
        last = self.turns + _TURNS_MAX
        while not until():
            if not self.turn():
                raise Stuck("nothing is ready and no timer is set, but the scenario is not done")
            if self._now > deadline:
                raise Stuck(f"the scenario is not done after {within_s:g} s of virtual time")
            if self.turns > last:
                raise Stuck(f"the scenario is not done after {_TURNS_MAX:,} turns")

    def turn(self) -> bool:
        """Call what is drawn next; False if nothing is scheduled at all."""
        while not self._ready:
            if not self._timers:
                return False
            self._advance()
        strand = self._draw()
        turns = self._ready[strand]
        turn = turns.popleft()
        if not turns:
            del self._ready[strand]
        if turn.call is not None:
            self.turns += 1
            self._spinning += 1
            if self._spinning > _TURNS_AT_ONE_TIME_MAX:
                raise Stuck(f"{_TURNS_AT_ONE_TIME_MAX:,} turns at one time: something asks for a time that has passed")
            turn.call()
        return True

    # ------------------------------------------------------------------ inside

    def _schedule(self, at: float, strand: str, callback: Callable[[], None]) -> _Turn:
        self._counter += 1
        turn = _Turn(callback)
        heapq.heappush(self._timers, (at, self._counter, strand, turn))
        return turn

    def _make_ready(self, strand: str, turn: _Turn) -> None:
        self._ready.setdefault("" if self._fifo else strand, deque()).append(turn)

    def _advance(self) -> None:
        """Go to the time of the next timer and make ready all that is due then."""
        if self._timers[0][0] > self._now:
            self._now = self._timers[0][0]
            self._spinning = 0
        while self._timers and self._timers[0][0] <= self._now:
            _, _, strand, turn = heapq.heappop(self._timers)
            if turn.call is not None:
                self._make_ready(strand, turn)

    def _draw(self) -> str:
        names = list(self._ready)
        name = names[0] if len(names) == 1 else names[self._chance.below(len(names))]
        self._hash.update(f"{self._now:.6f} {name};".encode())
        return name

    def _start_lane(self, lane: str) -> None:
        self.after(self._lane_delays.get(lane, _LANE_DELAYS), f"lane {lane}", lambda: self._work(lane))

    def _work(self, lane: str) -> None:
        waiting = self._lanes[lane]
        work, done = waiting[0]
        work()
        waiting.popleft()
        self.after((0.0, 0.0001), f"done {lane}", done)
        if waiting:
            self._start_lane(lane)
