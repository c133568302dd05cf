"""Random histories of Sandboxes that wait, beside a second, slower count of what each of them is worth."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from weftrun.machines.worker import WorkerMachine
from weftrun.machines.worker.warm import MEASURE_S
from weftrun.model.commands import Invoke
from weftrun.model.ids import RunId, RunUid, SandboxId, StepId
from weftrun.model.limits import Limits
from weftrun.model.messages import Batch, Invocation, Outcomes
from weftrun.model.outcomes import Outcome, Ran
from weftrun.model.policy import FunctionSpec
from weftrun.model.values import Inline, Tree
from weftrun.model.warm import Warm
from weftrun.model.work import KillSandbox, Send, StartSandbox, TickAt

MIB = 1 << 20
LIMITS = Limits(sandbox_idle_s=20.0, batch_size_max=1)
KEPT_S = 60.0
"""What is to be there is there after so long in which nothing else happens."""
_SIZES = {1: 3 * MIB, 2: 8 * MIB, 3: 20 * MIB, 4: 40 * MIB}
_COSTS = {1: 0.01, 2: 2.0, 3: 0.3, 4: 0.05}
_IDLE = (0, -1, False, 0.0)


@dataclass
class Guest:
    """A Sandbox as this world knows it."""

    profile: int
    since: float
    is_ready: bool = False
    is_killed: bool = False
    batch: int = 0
    step: int = 0
    used: float = 0.0
    held: int | None = None


class WarmWorld:
    """A machine with a budget, Sandboxes of four profiles, and what must hold after each burst (an AssertionError)."""

    def __init__(self, seed: int, bytes_max: int | None = 30 * MIB, sandboxes_max: int = 2) -> None:
        self.random = Random(seed)
        self.bytes_max = bytes_max
        self.sandboxes_max = sandboxes_max
        rules = Warm(bytes_max=bytes_max, ahead=True, is_measured=True)
        self.machine = WorkerMachine(LIMITS, sandboxes_max, rules=rules)
        self.machine.run_opened(1, (RunId("run-1"), RunUid("0" * 32)))
        self.now = 1_000.0
        self.tick_at = 0.0
        self.guests: dict[int, Guest] = {}
        self.waits: dict[int, list[int]] = {profile: [] for profile in _SIZES}
        self.done: set[int] = set()
        self.steps = 0
        self.uses = dict.fromkeys(_SIZES, 0)
        self.costs = dict.fromkeys(_SIZES, 0.1)
        self.sizes = dict.fromkeys(_SIZES, 0)
        self.clock = 0.0
        self.evictions = self.kept = 0
        self.peak = 0

    def play(self, turns: int = 300) -> None:
        """Let things happen, then let all that waits come to its end."""
        for _ in range(turns):
            self.random.choice((self.calls, self.calls, self.ends_one, self.ends_one, self.passes, self.dies))()
        while any(self.waits.values()) or any(guest.batch for guest in self.guests.values()):
            before = len(self.done)
            self.ends_one()
            self.passes(0.5)
            assert len(self.done) > before or self.starting() or not self.stalls(), "what waits gets no Sandbox"
        assert self.done == set(range(1, self.steps + 1)), "a call was lost"

    def stalls(self) -> bool:
        return all(guest.is_killed or not guest.batch for guest in self.guests.values())

    def starting(self) -> bool:
        return any(not guest.is_ready for guest in self.guests.values())

    # ------------------------------------------------------------------ what happens

    def calls(self) -> None:
        profile = self.random.choice((1, 1, 1, 2, 2, 3, 4))
        function = FunctionSpec(f"m:f{profile}", f"f{profile}", effects="none")
        count = self.random.choice((1, 1, 1, 2, 3))
        steps = range(self.steps + 1, self.steps + 1 + count)
        self.steps += count
        self.waits[profile] += steps
        asked = tuple(Invocation(0, step, StepId(f"s-{step}"), 1, Tree(Inline(b""))) for step in steps)
        self.machine.work(self.now, 1, Invoke(function, asked), profile)
        self.rest()

    def ends_one(self) -> None:
        """A Sandbox is ready, or has ended what it had."""
        able = [box for box, guest in self.guests.items() if guest.batch or not guest.is_ready or guest.is_killed]
        if not able:
            return
        box = self.random.choice(sorted(able))
        guest = self.guests[box]
        if guest.is_killed:
            self.is_gone(box, "killed by us")
        elif not guest.is_ready:
            guest.is_ready, guest.used = True, self.clock
            cost = _COSTS[guest.profile]
            known = self.costs[guest.profile]
            self.costs[guest.profile] = cost if known == 0.1 else (known + cost) / 2
            self.machine.ready(self.now, SandboxId(box), cost)
        else:
            outcome = Outcome(guest.step, 1, Inline(b""), None, Ran(SandboxId(box), self.now - 1.0, self.now), index=0)
            self.done.add(guest.step)
            no, guest.batch = guest.batch, 0
            self.machine.spoke(self.now, SandboxId(box), [Outcomes(no, (outcome,))])
        self.rest()

    def dies(self) -> None:
        """A Sandbox that waits ends by itself, now and then."""
        idle = [box for box, guest in self.guests.items() if self.is_free(guest)]
        if idle and self.random.random() < 0.3:
            self.is_gone(self.random.choice(sorted(idle)), "exit code 1")
            self.rest()

    def is_gone(self, box: int, why: str) -> None:
        guest = self.guests.pop(box)
        assert not guest.batch, "a Sandbox was ended with what it ran"
        self.machine.gone(self.now, SandboxId(box), why, _IDLE, "")

    def passes(self, seconds: float | None = None) -> None:
        self.now += seconds if seconds is not None else self.random.choice((0.01, 0.3, 1.5, 6.0, 25.0))
        if self.tick_at and self.tick_at <= self.now:
            self.tick_at = 0.0
            sizes = {box: self.size(box) for box in self.machine.unmeasured()}
            for box, held in sizes.items():
                self.guests[box].held = self.sizes[self.guests[box].profile] = held
            self.machine.measured(sizes)
            self.machine.tick(self.now, dict.fromkeys(self.machine.watched_sandboxes(), _IDLE))
            self.rest()

    def size(self, box: int) -> int:
        return _SIZES[self.guests[box].profile] + box % 3 * MIB

    # ------------------------------------------------------------------ what is wanted, and what must hold

    def rest(self) -> None:
        self.machine.place(self.now)
        for command in self.machine.take_commands():
            match command:
                case StartSandbox(sandbox, profile):
                    self.guests[sandbox] = Guest(profile, self.now)
                case Send(sandbox, Batch() as batch):
                    self.sent(self.guests[sandbox], batch)
                case KillSandbox(sandbox):
                    self.killed(sandbox)
                case TickAt(at):
                    self.tick_at = at
        self.check()

    def sent(self, guest: Guest, batch: Batch) -> None:
        assert guest.is_ready and not guest.is_killed and not guest.batch
        (item,) = batch.items
        self.waits[guest.profile].remove(item.step)
        guest.batch, guest.step, guest.held, guest.used = batch.no, item.step, None, self.clock
        self.uses[guest.profile] += 1
        at_work = sum(bool(other.batch) for other in self.guests.values())
        self.peak = max(self.peak, at_work)
        assert at_work <= self.sandboxes_max, "more Sandboxes run Functions than may"

    def killed(self, box: int) -> None:
        guest = self.guests[box]
        assert self.is_free(guest), "a Sandbox is ended that does not wait"
        held = self.held()
        why = self.machine.state.ended[guest.profile]
        if why == "memory":
            assert self.bytes_max is not None and held > self.bytes_max, "one is ended for memory that there is"
            others = [other for other in self.guests.values() if self.is_free(other)]
            assert self.worth(guest) <= min(map(self.worth, others)), "one is ended that is worth more than another"
            self.clock = max(self.clock, self.worth(guest))
            self.evictions += 1
        guest.is_killed = True

    def is_free(self, guest: Guest) -> bool:
        return guest.is_ready and not guest.is_killed and not guest.batch

    def held_by(self, guest: Guest) -> int:
        return guest.held if guest.held is not None else self.sizes[guest.profile]

    def held(self) -> int:
        return sum(self.held_by(guest) for guest in self.guests.values() if self.is_free(guest))

    def worth(self, guest: Guest) -> float:
        mib = max(self.held_by(guest), 1) / MIB
        return guest.used + self.uses[guest.profile] * self.costs[guest.profile] / mib

    def check(self) -> None:
        if self.bytes_max is not None:
            assert self.held() <= self.bytes_max, "Sandboxes that wait hold more than they may"
        if any(self.is_free(guest) and guest.held is None for guest in self.guests.values()):
            assert 0 < self.tick_at <= self.now + MEASURE_S, "nobody will look at what a Sandbox holds"
        working = sum(bool(g.batch) or not g.is_ready for g in self.guests.values() if not g.is_killed)
        if working < self.sandboxes_max:
            free = {guest.profile for guest in self.guests.values() if self.is_free(guest)}
            assert not [p for p, waits in self.waits.items() if waits and p in free], "work waits beside a free Sandbox"

    def keep(self, profile: int, count: int) -> None:
        """Say that so many are to be there."""
        function = FunctionSpec(f"m:f{profile}", f"f{profile}", effects="none")
        self.machine.keep_warm(self.now, profile, function, count)
        self.rest()

    def stands_still(self, seconds: float = KEPT_S) -> None:
        """Let time go on in which Sandboxes get ready, and are gone, but nobody calls anything."""
        until = self.now + seconds
        while self.now < until:
            while self.starting() or any(guest.is_killed for guest in self.guests.values()):
                self.ends_one()
            self.passes(0.5)

    def there(self, profile: int) -> int:
        return sum(guest.profile == profile and self.is_free(guest) for guest in self.guests.values())
