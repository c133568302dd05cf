"""Hosts that share one Run: each with its part, its Lease and its Sandboxes; a network and a Journal between them.

One virtual clock, one queue of callbacks; everything that is drawn comes from the seed. A host that is frozen hears
nothing until it wakes, and then hears it all; its Sandboxes go on meanwhile. A host that dies takes its Sandboxes
along.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass

from weftrun.machines.run import RunMachine
from weftrun.machines.share import OwnerMachine
from weftrun.model.commands import End, WakeAt
from weftrun.model.events import TimeCame
from weftrun.model.ids import RunUid, WorkerId
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Failure, Status
from weftrun.model.share import (
    Adopted,
    AppendCame,
    AppendRecords,
    EpochRaised,
    Heard,
    Loaded,
    LoadRows,
    Outcome,
    OwnerBegan,
    OwnerCommand,
    OwnerEvent,
    PartCommand,
    RaiseEpoch,
    Say,
    ShareMessage,
    StoreBlob,
    Stored,
    TellOwner,
    WorkerCame,
    WorkerGone,
)
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.ledger import Entry
from weftrun.testing.sim.shared.host import TTL_S, Host
from weftrun.testing.sim.shared.journal import SharedJournal
from weftrun.testing.sim.shared.scripts import Scripts, first_records, read_tree
from weftrun.testing.sim.values import Lineage

LIMITS = Limits(losses_max=20)
_HOSTS_MAX = 6
_AFTER_S = 0.5
"""How long the hosts go on after the Run's end, in seconds: what they do then is judged too."""


@dataclass
class Weather:
    """What goes wrong while there is chaos, as probabilities, and how slow things are.

    Attributes:
        lost, doubled, late: of a message; `late` also of what is asked of the Journal.
        unknown: of an append of which nothing is known afterwards.
        dead_s, frozen_s: a host dies, or freezes, about this often, in seconds; 0 for never.
        joins_s: another host comes about this often, in seconds; 0 for never.
        sandbox: of an Attempt whose Sandbox dies.
        chaos_s: how long there is chaos, in seconds.
        net_s, disk_s, start_s, body_s: how long a message, a commit, entering a body and the body take at most, in
            seconds.
    """

    lost: float
    doubled: float
    late: float
    unknown: float
    dead_s: float
    frozen_s: float
    joins_s: float
    sandbox: float
    chaos_s: float
    net_s: float
    disk_s: float
    start_s: float
    body_s: float


@dataclass
class Owner:
    """An engine that owns the Run, or thinks so, on one of the hosts."""

    host: Host
    machine: OwnerMachine
    seen: set[WorkerId]
    gone: set[WorkerId]


class SharedWorld:
    """One Run, its hosts, and all that happens to them.

    Attributes:
        entries: what was really entered, told by Sandboxes only.
        answers: status and lineage of the answer, each time that a Worker let it out.
        used: which nonce of which Step each Worker used (M2).
        buried: Workers whose session is dead, though they may not know it.
        clashes: uses of two.
        happened: faults by kind, and `offers`, `plans` and the like, for people and for tests of the simulator.
        chaos: faults happen.
    """

    def __init__(self, seed: int, scripts: Scripts, weather: Weather, workers: int) -> None:
        """Make the Journal with a Run that has begun, and the hosts; nothing has happened yet."""
        self.seed = seed
        self.scripts = scripts
        self.weather = weather
        self.uid = RunUid(f"{seed:032x}")
        self.now = 1_000.0
        self.chaos = True
        self.journal = SharedJournal(self.uid, first_records(scripts), self.now)
        self.blobs: dict[str, bytes] = {}
        self.entries: list[Entry] = []
        self.answers: list[tuple[Status, Lineage | None, Failure | None]] = []
        self.used: dict[WorkerId, dict[str, int]] = {}
        self.clashes: list[str] = []
        self.happened: dict[str, int] = {}
        self.hosts: dict[WorkerId, Host] = {}
        self.nonces = Chance(seed, "nonces")
        self.pace = Chance(seed, "pace")
        self.net = Chance(seed, "network")
        self.fate = Chance(seed, "hosts")
        self.disk = Chance(seed, "journal")
        self.started_at = self.now
        self.calm_at = self.now + weather.chaos_s
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.owner: Owner | None = None
        self.claiming = False
        self.buried: set[WorkerId] = set()
        for _ in range(workers):
            self.add_host()

    # ------------------------------------------------------------------ time

    def at(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call back after a delay."""
        self._count += 1
        heapq.heappush(self._queue, (self.now + delay_s, self._count, callback))

    def run(self, until_s: float = 120.0, steps_max: int = 400_000) -> None:
        """Play until a while after the Run has ended and its answer was given, or until time is up."""
        self.claim(self.hosts[WorkerId(1)])
        self.at(self.weather.chaos_s, self._calm)
        self._join()
        end, steps = self.now + self.weather.chaos_s + until_s, 0
        over = False
        while self._queue and self.now < end and steps < steps_max:
            steps += 1
            if self.is_over and not over:
                over, end = True, self.now + _AFTER_S
            at, _, callback = heapq.heappop(self._queue)
            self.now = max(self.now, at)
            callback()

    @property
    def is_over(self) -> bool:
        """Whether the Run has ended, and somebody has its answer."""
        return self.journal.ended and bool(self.answers)

    def count(self, what: str) -> None:
        """Note that something happened."""
        self.happened[what] = self.happened.get(what, 0) + 1

    def _calm(self) -> None:
        self.chaos = False
        for host in self.hosts.values():
            host.wakes_at = min(host.wakes_at, self.now)
        if not any(host.alive for host in self.hosts.values()):
            self.add_host()

    # ------------------------------------------------------------------ hosts

    def add_host(self) -> WorkerId:
        """Start another host, and return its number."""
        worker = WorkerId(len(self.hosts) + 1)
        host = self.hosts[worker] = Host(self, worker, LIMITS)
        host.beat()
        self.at(TTL_S / 4, lambda: self._look(host))
        weather = self.weather
        if weather.dead_s:
            self.at(-weather.dead_s * _log(self.fate), lambda: self._die(host))
        if weather.frozen_s:
            self.at(-weather.frozen_s * _log(self.fate), lambda: self._freeze(host))
        return worker

    def _come(self) -> None:
        self.add_host()

    def _die(self, host: Host) -> None:
        if not self.chaos or not host.alive:
            return
        self.count("dead")
        self.lose(host)

    def lose(self, host: Host) -> None:
        """End a host; mostly another one comes in its place."""
        host.die()
        if self.fate.happens(0.7) or not any(other.alive for other in self.hosts.values()):
            self.at(self.fate.between(0.0, 2.0), self._come)

    def _join(self) -> None:
        """More hosts come, so that what was at home at a living one moves."""
        if self.weather.joins_s and self.chaos:
            if self.now > self.started_at and sum(host.alive for host in self.hosts.values()) < _HOSTS_MAX:
                self.add_host()
            self.at(-self.weather.joins_s * _log(self.fate), self._join)

    def _freeze(self, host: Host) -> None:
        if not self.chaos or not host.alive:
            return
        self.count("frozen")
        host.wakes_at = max(host.wakes_at, min(self.calm_at, self.now + self.fate.between(0.05, 4 * TTL_S)))
        self.at(-self.weather.frozen_s * _log(self.fate), lambda: self._freeze(host))

    def _look(self, host: Host) -> None:
        """A host looks at the beats of the others: the owner for its Workers, the rest for the owner."""
        if not host.alive:
            return
        if host.is_frozen:
            self.at(max(host.wakes_at - self.now, 0.001), lambda: self._look(host))
            return
        host.look()
        owner = self.owner
        if owner is not None and owner.host is host:
            for other in self.hosts.values():
                if host.buries(other):
                    if other.worker in owner.gone:
                        continue
                    owner.gone.add(other.worker)
                    self._tell_owner(owner, WorkerGone(self.now, other.worker))
                elif host.sees(other) and other.worker not in owner.seen:
                    owner.seen.add(other.worker)
                    self._tell_owner(owner, WorkerCame(self.now, other.worker))
        elif not self.claiming and (owner is None or host.buries(owner.host)):
            self.claim(host)
        self.at(TTL_S / 4, lambda: self._look(host))

    # ------------------------------------------------------------------ the owner

    def claim(self, host: Host) -> None:
        """Let an engine take the Run over, in two transactions: one raises the epoch, the other brings a plan."""
        self.claiming = True
        self.count("claims")

        def claimed() -> None:
            self.claiming = False
            if not host.alive or host.is_frozen or host.worker in self.buried:
                return
            epoch = self.journal.claim()
            machine = OwnerMachine({})
            self.owner = Owner(host, machine, set(), set())
            alive = tuple(other.worker for other in self.hosts.values() if other.worker not in self.buried)
            self._tell_owner(self.owner, OwnerBegan(self.now, epoch, tuple(self.journal.rows), alive))

        self.at(self.pace.between(0.0, self.weather.disk_s), claimed)

    def _tell_owner(self, owner: Owner, event: OwnerEvent) -> None:
        was_over = owner.machine.over
        for command in owner.machine.handle(event):
            self._do_for_owner(owner, command)
        if owner.machine.over and not was_over and self.journal.ended:
            self._answer(RunMachine.answer_of(self.uid, self.journal.rows, LIMITS))

    def later_to_owner(self, owner: Owner, delay_s: float, make: Callable[[], OwnerEvent]) -> None:
        """Tell an owner something once its host is awake."""

        def tell() -> None:
            if not owner.host.alive:
                return
            if owner.host.is_frozen:
                self.later_to_owner(owner, owner.host.wakes_at - self.now, make)
            else:
                self._tell_owner(owner, make())

        self.at(delay_s, tell)

    def _do_for_owner(self, owner: Owner, command: OwnerCommand) -> None:
        match command:
            case RaiseEpoch():
                self.commit(
                    lambda: self.journal.raise_epoch(self.now, command.epoch, command.planned),
                    lambda outcome: self.later_to_owner(owner, 0.0, lambda: EpochRaised(self.now, outcome)),
                )
            case Say():
                self.send(command.to, command.message)
            case WakeAt():
                self.later_to_owner(owner, max(0.0, command.at - self.now), lambda: TimeCame(self.now))

    # ------------------------------------------------------------------ network and Journal

    def send(self, to: WorkerId, message: ShareMessage) -> None:
        """Send a message: it may be lost, doubled, and overtaken by others."""
        self.count(type(message).__name__)
        for delay_s in self._ways():
            self.at(delay_s, lambda: self.hosts[to].give(lambda: Heard(self.now, message)))

    def _ways(self) -> list[float]:
        """Return how long each copy of a message takes."""
        weather, net = self.weather, self.net
        if not self.chaos:
            return [net.between(0.0, weather.net_s)]
        if net.happens(weather.lost):
            self.count("lost")
            return []
        copies = 2 if net.happens(weather.doubled) else 1
        late = [net.happens(weather.late) for _ in range(copies)]
        return [net.between(0.0, 3.0 if slow else weather.net_s) for slow in late]

    def commit(self, apply: Callable[[], Outcome], reply: Callable[[Outcome], None]) -> None:
        """Let the Journal do something, and say what became of it; whoever asked may be gone by then."""
        disk_s = self.weather.disk_s
        unknown = self.chaos and self.disk.happens(self.weather.unknown)
        never = unknown and self.disk.happens(0.5)

        def done() -> None:
            outcome = Outcome.UNKNOWN if never else apply()
            if unknown:
                self.count("unknown")
            told = Outcome.UNKNOWN if unknown else outcome
            self.at(self.disk.between(0.0, disk_s), lambda: reply(told))

        late = self.chaos and self.disk.happens(self.weather.late / 3)
        self.at(self.disk.between(0.0, 3.0 if late else disk_s), done)

    # ------------------------------------------------------------------ what parts want done

    def do(self, host: Host, command: PartCommand) -> None:
        """Carry out a command of a part."""
        match command:
            case AppendRecords(number=number, epoch=epoch, held=held):
                self.commit(
                    lambda: self.journal.append(self.now, epoch, held),
                    lambda outcome: host.give(lambda: AppendCame(self.now, number, outcome)),
                )
            case LoadRows():
                self.at(self.disk.between(0.0, self.weather.disk_s), lambda: self._load(host))
            case StoreBlob(sha256=sha256):
                self.at(self.disk.between(0.0, 4 * self.weather.disk_s), lambda: self._store(host, sha256))
            case Say():
                self.send(command.to, command.message)
            case TellOwner(message=message):
                self._to_owner(message)
            case WakeAt(at=at):
                self.at(max(0.0, at - self.now), lambda: host.give(lambda: TimeCame(self.now)))
            case End():
                self._answer(command)
            case _:
                host.act(command)

    def _answer(self, end: End) -> None:
        seen = read_tree(end.answer, self.blobs) if end.answer is not None else None
        self.answers.append((end.status, seen, end.failure))

    def _load(self, host: Host) -> None:
        rows = tuple(self.journal.rows)
        self.at(self.disk.between(0.0, self.weather.disk_s), lambda: host.give(lambda: Loaded(self.now, rows)))

    def _store(self, host: Host, sha256: str) -> None:
        if host.alive:
            self.journal.blobs.add(sha256)
            host.give(lambda: Stored(self.now, sha256))

    def _to_owner(self, message: Adopted) -> None:
        owner = self.owner
        if owner is not None:
            for delay_s in self._ways():
                self.later_to_owner(owner, delay_s, lambda: Heard(self.now, message))

    # ------------------------------------------------------------------ what is judged

    def use(self, host: Host, seen: Lineage) -> None:
        """Note what a Worker uses."""
        used = self.used.setdefault(host.worker, {})
        for step, nonce in sorted(seen):
            if used.setdefault(step, nonce) != nonce:
                self.clashes.append(f"Worker {host.worker} used two versions of {step}")


def _log(chance: Chance) -> float:
    """Return the logarithm of a draw: for times between things that happen by themselves."""
    share, total, power = max(chance.share(), 1e-9), 0.0, 1.0
    ratio = (share - 1) / (share + 1)
    for n in range(60):
        power = ratio if n == 0 else power * ratio * ratio
        total += power / (2 * n + 1)
    return 2 * total
