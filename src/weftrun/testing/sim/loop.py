"""The port Loop under virtual time: one simulated process's part of the world's turns.

Callbacks of one strand keep their order (a lane, a channel and `call_soon` promise that); which strand goes next is
drawn. So every order that the real loop could show can come up, and no other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping

from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.clockwork import START, Clockwork, SimTurn, Stuck, Turns
from weftrun.testing.sim.faults import Crash

__all__ = ["START", "Delays", "SimLoop", "Stuck"]

Delays = tuple[float, float]
"""Bounds of a seeded delay, in seconds."""

_LANE_DELAYS: Delays = (0.0002, 0.002)


class SimLoop:
    """Turns of one process, or of what stands outside of all of them.

    Attributes:
        clockwork: what it shares with the other processes of its world.
    """

    def __init__(
        self,
        chance: Chance,
        *,
        lanes: Mapping[str, Delays] | None = None,
        busy: float = 0.0,
        clockwork: Clockwork | None = None,
        name: str = "",
    ) -> None:
        """Make a loop, of a world of its own if no `clockwork` is given.

        Args:
            chance: draws the next strand and the delays.
            lanes: how long a work of a lane takes, in seconds; 0.2 to 2 ms where a lane is not named.
            busy: how often `idle` says no though nothing waits, so that work goes to its lane.
            name: tells its strands from those of others.
        """
        self.clockwork = clockwork or Clockwork(chance)
        self._chance = chance
        self._lane_delays = dict(lanes or {})
        self._busy = busy
        self._turns = Turns(f"{name} " if name else "")
        self._due: dict[str, float] = {}
        self._lanes: dict[str, deque[tuple[Callable[[], None], Callable[[], None]]]] = {}

    def beside(
        self,
        name: str,
        crashed: Callable[[Crash], None],
        *,
        lanes: Mapping[str, Delays] | None = None,
        busy: float = 0.0,
        computes: bool = False,
    ) -> SimLoop:
        """Return the loop of another process of this world.

        Args:
            crashed: called when one of its turns crashes.
            computes: when it stands still, what it is at takes as long again as was left.
        """
        loop = SimLoop(self._chance, lanes=lanes, busy=busy, clockwork=self.clockwork, name=name)
        loop._turns.crashed = crashed
        loop._turns.computes = computes
        return loop

    @property
    def digest(self) -> str:
        """A hash of every decision in this world so far; equal seeds must give equal ones."""
        return self.clockwork.digest

    @property
    def lanes_busy(self) -> bool:
        """Whether some work of a lane has not been done."""
        return any(self._lanes.values())

    # ------------------------------------------------------------------ the port

    def now(self) -> float:
        """Return the virtual time, in seconds since the epoch."""
        return self.clockwork.now

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call back after what was scheduled so before."""
        self.clockwork.make_ready("soon", SimTurn(self._turns, callback))

    def call_at(self, at: float, callback: Callable[[], None]) -> SimTurn:
        """Call back at a virtual time."""
        return self._schedule(max(at, self.now()), "timers", callback)

    def call_from_thread(self, callback: Callable[[], None]) -> None:
        """Call back in the loop."""
        self.clockwork.make_ready("threads", SimTurn(self._turns, callback))

    def offload(self, work: Callable[[], None], done: Callable[[], None], *, lane: str) -> None:
        """Run `work` at a later turn of its lane, then `done` at another."""
        waiting = self._lanes.setdefault(lane, deque())
        waiting.append((work, done))
        if len(waiting) == 1:
            self._start_lane(lane)

    def idle(self) -> bool:
        """Say whether nothing is ready; sometimes says no all the same, as the port allows."""
        return not self.clockwork.ready and not (self._busy and self._chance.happens(self._busy))

    # ------------------------------------------------------------------ for the simulated world

    def after(self, delays: Delays, strand: str, callback: Callable[[], None]) -> SimTurn:
        """Call back after a drawn delay, never before what was scheduled earlier on the same strand."""
        at = max(self.now() + self._chance.between(*delays), self._due.get(strand, 0.0))
        self._due[strand] = at
        return self._schedule(at, strand, callback)

    def run(self, until: Callable[[], bool], *, within_s: float) -> None:
        """Let the world take turns until the condition holds; see `Clockwork.run`."""
        self.clockwork.run(until, within_s=within_s)

    def turn(self) -> bool:
        """Let the world take one turn; False if nothing is scheduled at all."""
        return self.clockwork.turn()

    def stand_still(self, seconds: float, *others: SimLoop) -> None:
        """Stop, in the middle of a turn, while all others but these go on for so many seconds."""
        self.clockwork.stand_still((self._turns, *(other._turns for other in others)), seconds)

    @property
    def stands_still(self) -> bool:
        """Whether it was stopped and has not gone on."""
        return self._turns.parked is not None

    def end(self) -> None:
        """Forget everything scheduled, now and later, as when the process died. Time goes on."""
        self.clockwork.end(self._turns)
        self._lanes = {}

    # ------------------------------------------------------------------ inside

    def _schedule(self, at: float, strand: str, callback: Callable[[], None]) -> SimTurn:
        turn = SimTurn(self._turns, callback)
        self.clockwork.schedule(at, strand, turn)
        return turn

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
