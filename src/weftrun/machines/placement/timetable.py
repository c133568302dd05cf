"""When the Steps of a graph would run on given Workers, where places and links are shared."""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from weftrun.model.placement import Network, PlanStep, PlanWorker


class StepTimes:
    """Gives Steps their times, one after the other, each behind those that it takes from.

    A value crosses to a Worker once, however many read it there. Of two values that cross over one link the second
    waits. A Worker's memory holds what its Steps give and what came for them, until the last reader has its time.

    Attributes:
        elsewhere: stands for a Worker where what runs on no single one is: it has places for all, and a link.
        homes: by Step, its Worker; -1 for what has none yet.
        ends: by Step, when it has ended, in seconds.
        moved_bytes: bytes that have crossed.
        spilled_bytes: bytes that were more than the memory of their Workers.
    """

    def __init__(self, steps: Sequence[PlanStep], workers: Sequence[PlanWorker], network: Network) -> None:
        self._steps = steps
        self._network = network
        self.elsewhere = len(workers)
        self._places: list[list[tuple[float, int]]] = [[(0.0, -1)] * worker.places for worker in workers]
        self._room = [*(worker.memory_bytes for worker in workers), float("inf")]
        self._in = [0.0] * (len(workers) + 1)
        self._out = [0.0] * (len(workers) + 1)
        self._arrived: dict[tuple[int, int], float] = {}
        self._copies: list[list[tuple[int, float]]] = [[] for _ in steps]
        self._unread = [0] * len(steps)
        for step in steps:
            for producer, _ in step.takes:
                self._unread[producer] += 1
        self._behind = [-1] * len(steps)
        self.homes = [-1] * len(steps)
        self.ends = [0.0] * len(steps)
        self.moved_bytes = self.spilled_bytes = 0.0

    def would_end(self, step: int, home: int) -> float:
        """Return when a Step would end on a Worker."""
        ready = self._places[home][0][0]
        came, network = self._in[home], self._network
        for producer, nbytes in self._steps[step].takes:
            at, source = self.ends[producer], self.homes[producer]
            if source != home:
                known = self._arrived.get((producer, home))
                if known is None:
                    known = at + network.hop_s
                    if nbytes:
                        came = max(at, came, self._out[source]) + nbytes / network.bytes_s
                        known = came + network.hop_s
                at = known
            ready = max(ready, at)
        return ready + self._steps[step].expected.runtime_s

    def fits(self, step: int, home: int) -> bool:
        """Say whether a Worker has the memory for what a Step gives, and for what must come there for it."""
        needed = self._steps[step].expected.output_bytes
        for producer, nbytes in self._steps[step].takes:
            if self.homes[producer] != home and (producer, home) not in self._arrived:
                needed += nbytes
        return needed <= self._room[home]

    def place(self, step: int, home: int) -> None:
        """Let a Step run on a Worker."""
        this = self._steps[step]
        ready, behind = heapq.heappop(self._places[home]) if home != self.elsewhere else (0.0, -1)
        for producer, nbytes in this.takes:
            at = self.ends[producer]
            if self.homes[producer] != home:
                at = self._bring(producer, home, nbytes)
            if at >= ready:
                ready, behind = at, producer
            self._read(producer)
        self._take(home, this.expected.output_bytes)
        self.homes[step] = home
        self._behind[step] = behind
        self.ends[step] = ready + this.expected.runtime_s
        if home != self.elsewhere:
            heapq.heappush(self._places[home], (self.ends[step], step))

    def _bring(self, producer: int, home: int, nbytes: float) -> float:
        """Let a value cross, once; return when it is there."""
        known = self._arrived.get((producer, home))
        if known is None:
            sent = self.ends[producer]
            source = self.homes[producer]
            if nbytes:
                sent = max(sent, self._in[home], self._out[source]) + nbytes / self._network.bytes_s
                self._in[home] = self._out[source] = sent
            known = self._arrived[producer, home] = sent + self._network.hop_s
            self._copies[producer].append((home, nbytes))
            self._take(home, nbytes)
            self.moved_bytes += nbytes
        return known

    def _take(self, home: int, nbytes: float) -> None:
        """Take memory of a Worker."""
        self.spilled_bytes += max(0.0, min(nbytes, nbytes - self._room[home]))
        self._room[home] -= nbytes

    def _read(self, producer: int) -> None:
        """Let go of a value whose last reader has its time."""
        self._unread[producer] -= 1
        if not self._unread[producer]:
            self._room[self.homes[producer]] += self._steps[producer].expected.output_bytes
            for home, nbytes in self._copies[producer]:
                self._room[home] += nbytes

    @property
    def length_s(self) -> float:
        """When the last Step has ended."""
        return max(self.ends, default=0.0)

    @property
    def path(self) -> tuple[int, ...]:
        """The Steps that the end waits for, from the first to the last: for a value, or for a place."""
        if not self.ends:
            return ()
        at = max(range(len(self.ends)), key=lambda n: (self.ends[n], -n))
        path = []
        while at >= 0:
            path.append(at)
            at = self._behind[at]
        return tuple(reversed(path))


def ranks(steps: Sequence[PlanStep], network: Network) -> list[float]:
    """Return how long it is from the beginning of each Step to the end of all, in seconds, if every value crosses.

    The upward rank of HEFT (Topcuoglu, Hariri, Wu: Performance-effective and low-complexity task scheduling, 2002).
    """
    behind = [0.0] * len(steps)
    found = [0.0] * len(steps)
    for n in range(len(steps) - 1, -1, -1):
        found[n] = behind[n] + steps[n].expected.runtime_s
        for producer, nbytes in steps[n].takes:
            behind[producer] = max(behind[producer], found[n] + nbytes / network.bytes_s + network.hop_s)
    return found


def in_order(found: Sequence[float]) -> list[int]:
    """Return all Steps by their ranks: each behind what it takes from, those first that are furthest from the end."""
    return sorted(range(len(found)), key=lambda n: (-found[n], n))
