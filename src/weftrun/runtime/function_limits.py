"""Limits of Functions: this engine's places, which it divides with the others on the Journal."""

from __future__ import annotations

from msgspec import Struct

from weftrun.machines.places import Allowed, divide
from weftrun.model.errors import LeaseLost, WeftrunError
from weftrun.model.places import PlaceShare
from weftrun.model.policy import FunctionSpec
from weftrun.ports.entropy import Entropy
from weftrun.ports.journal import Journal
from weftrun.ports.loop import Handle, Loop
from weftrun.ports.worker import LimitedWorker
from weftrun.runtime.committer import Committer
from weftrun.runtime.ownership import Ownership
from weftrun.runtime.run_driver import RunDriver

_TRIES = 50
"""A share is changed so often where others change theirs at the same time."""
_SOON_S = 0.1
"""Where somebody lacks places, the shares are looked at again after this."""
_LATER_S = 0.5
"""Places that nobody else wants are kept for so long after their last use."""


class FunctionLimits:
    """Asks the Journal for places as Attempts come, and gives back what others want or nobody uses. On the loop."""

    def __init__(
        self, loop: Loop, journal: Journal, committer: Committer, entropy: Entropy, own: Ownership,
        driver: RunDriver, worker: LimitedWorker | None,
    ) -> None:  # fmt: skip
        self._loop = loop
        self._journal = journal
        self._committer = committer
        self._entropy = entropy
        self._own = own
        self._driver = driver
        self._worker = worker
        self._waiting: dict[str, set[int]] = {}
        self._limits: dict[str, int] = {}
        self._held: dict[str, PlaceShare] = {}
        self._busy: set[str] = set()
        self._timers: dict[str, Handle] = {}
        self._ended = False
        if worker is not None:
            worker.keep_limits(self)

    def wants(self, function: FunctionSpec) -> None:
        """An Attempt of a Function with a limit waits for its place."""
        self._limits[function.name] = function.limit
        held = self._held.get(function.name)
        if held is None or held.wanted < function.limit:
            self._look(function.name)

    def fenced(self) -> None:
        """The session is gone, and all places with it."""
        for name in self._held:
            self._hold(name, 0)
        self._held.clear()

    def end(self) -> None:
        """Ask for nothing more: the engine is being closed, and its places go with its session."""
        self._ended = True
        for timer in self._timers.values():
            timer.cancel()

    def _hold(self, name: str, places: int) -> None:
        if self._worker is not None:
            self._worker.hold_places(name, places)

    def _look(self, name: str) -> None:
        if name in self._busy or self._ended or self._worker is None:
            return
        self._busy.add(name)
        self._loop.call_soon(lambda: self._divide(name))

    def _divide(self, name: str) -> None:
        if self._ended or self._worker is None:
            return
        in_use, waiting = self._worker.demand(name)
        dividing = _Dividing(self._journal, self._entropy, name, self._limits[name], in_use, waiting)

        def done(allowed: Allowed) -> None:
            self._busy.discard(name)
            self._own.claim_failed()  # no Run was
            if self._ended:
                return
            self._held[name] = allowed.share
            self._hold(name, allowed.places)
            self._show(name)
            if allowed.share.held or allowed.share.wanted:
                self._look_later(name, _SOON_S if allowed.is_contended else _LATER_S)
            else:
                del self._held[name]

        def failed(error: WeftrunError) -> None:
            self._busy.discard(name)
            self._own.claim_failed()
            if isinstance(error, LeaseLost):
                self._own.fenced()
            self._look_later(name, _LATER_S)

        self._committer.write(self._own.claims(dividing.work), done, failed)

    def _show(self, name: str) -> None:
        """Let Runs that wait for a place show it, as long as they do; their stories tell once that they did."""
        assert self._worker is not None
        label = name.rsplit(":", 1)[-1]
        before, now = self._waiting.get(name, set()), self._worker.runs_waiting(name)
        self._waiting[name] = now
        for number in before ^ now:
            run = self._driver.open_run(number)
            if run is None:
                continue
            for ticket in run.tickets:
                ticket.rests = f"limit {label}" if number in now else ""
            if number in now and run.durable:
                limit = f"{self._limits[name]:,}"
                self._driver.trace.note(run.uid, f"{label} waits for a place: {limit} at once is its limit.")

    def _look_later(self, name: str, after_s: float) -> None:
        before = self._timers.pop(name, None)
        if before is not None:
            before.cancel()
        if not self._ended:
            self._timers[name] = self._loop.call_at(self._loop.now() + after_s, lambda: self._look(name))


class _Dividing(Struct, frozen=True):
    """One decision on this engine's share, in the Journal's lane."""

    journal: Journal
    entropy: Entropy
    name: str
    limit: int
    in_use: int
    waiting: int

    def work(self) -> Allowed:
        """Read, decide, and write what was decided, unless another engine was quicker; then once more."""
        shares = self.journal.place_shares(self.name)
        for _ in range(_TRIES):
            allowed = divide(self.limit, shares, self.in_use, self.waiting)
            if allowed.share == shares.mine:
                return allowed
            if self.journal.put_share(self.name, allowed.share, shares.revision, self.entropy.uid()):
                return allowed
            shares = self.journal.place_shares(self.name)
        return Allowed(min(self.in_use, shares.mine.held), shares.mine, is_contended=True)
