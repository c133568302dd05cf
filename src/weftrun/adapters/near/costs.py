"""Where a storage call runs: what both ways are expected to cost, learned from how long earlier calls took.

Here, the value comes over the link and is worked on. Near, the memory that has changed goes there and comes back.
The speed of the link is learned from all calls of a process, what a function does with a byte from its own. The way
that was not taken lately is tried again now and then, the seldomer the worse it was. The idea of choosing by call is
that of Kayak (J. You et al., NSDI 2021).
"""

from __future__ import annotations

import threading
from typing import Final, Literal, NamedTuple

_NEWEST: Final = 0.3
"""Weight of the newest sample."""
_LINK_BYTES_PER_S: Final = 1e9
"""Of a link of which nothing is known."""
_COUNTS_FROM_BYTES: Final = 32_768
"""From so many bytes on, a transfer tells how quick the link is; below, how long it takes to be answered."""
_TRY_ONCE: Final = 4.0
"""A way that was never taken is tried where it may cost up to so many times as much."""
_TRY_AGAIN_CALLS: Final = 40
"""One that was is tried again after so many calls; after more, the more it has cost: that wastes a fortieth at most."""

Way = Literal["near", "here"]


class NearChoice(NamedTuple):
    """Where a call runs.

    Attributes:
        way: beside the data, or here.
        reason: a few words.
    """

    way: Way
    reason: str


class _Mean:
    """A mean in which newer samples weigh more."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, sample: float) -> None:
        self.value = sample if self.value is None else self.value + _NEWEST * (sample - self.value)


class _Learned:
    """What is known of a function: seconds for each byte that it reads, and what travels."""

    def __init__(self) -> None:
        self.work_s: dict[Way, _Mean] = {"near": _Mean(), "here": _Mean()}
        self.moved_bytes, self.read_bytes, self.rest_s = _Mean(), _Mean(), _Mean()
        self.since: dict[Way, int] = {"near": 0, "here": 0}

    def work(self, way: Way) -> float:
        """Return how long a byte takes: where that is not known, as long as the other way."""
        other: Way = "here" if way == "near" else "near"
        known = self.work_s[way].value
        return known if known is not None else self.work_s[other].value or 0.0


class NearCosts:
    """What is known of the ways to one storage role; any number of threads may use it."""

    def __init__(self) -> None:
        """Know nothing."""
        self._lock = threading.Lock()
        self._byte_s, self._answer_s = _Mean(), _Mean()
        self._functions: dict[tuple[str, int], _Learned] = {}
        self._sizes: dict[str, int] = {}

    def choose(self, function: tuple[str, int], key: str) -> NearChoice:
        """Choose where a function, of a module and its table, runs beside a key or not."""
        with self._lock:
            known = self._functions.setdefault(function, _Learned())
            if known.work_s["near"].value is None:
                return NearChoice("near", "its data is there")
            return self._chosen(known, self._sizes.get(key, known.read_bytes.value or 0.0))

    def _chosen(self, known: _Learned, nbytes: float) -> NearChoice:
        cost = {"near": self._near_s(known, nbytes), "here": self._here_s(known, nbytes)}
        better: Way = "near" if cost["near"] <= cost["here"] else "here"
        other: Way = "here" if better == "near" else "near"
        told = f"expected to take {cost['near'] * 1e3:.1f} ms there and {cost['here'] * 1e3:.1f} ms here"
        ratio = cost[other] / max(cost[better], 1e-9)
        is_new = known.work_s[other].value is None
        if ratio < _TRY_ONCE if is_new else known.since[other] >= _TRY_AGAIN_CALLS * max(1.0, ratio - 1):
            return NearChoice(other, f"tried to learn what it takes; {told}")
        return NearChoice(better, told)

    def _near_s(self, known: _Learned, nbytes: float) -> float:
        """What travels is taken to grow with the value; the rest of what a call took besides its work, not."""
        moved_s = (known.moved_bytes.value or 0.0) * self._link_byte_s()
        rest_s = max(0.0, (known.rest_s.value or 0.0) - moved_s)
        return rest_s + moved_s * nbytes / max(1.0, known.read_bytes.value or 0.0) + nbytes * known.work("near")

    def _here_s(self, known: _Learned, nbytes: float) -> float:
        return (self._answer_s.value or 0.0) + nbytes * (self._link_byte_s() + known.work("here"))

    def _link_byte_s(self) -> float:
        return self._byte_s.value if self._byte_s.value is not None else 1 / _LINK_BYTES_PER_S

    def was_near(
        self, function: tuple[str, int], key: str, *, took_s: float, ran_s: float, moved_bytes: int, read_bytes: int
    ) -> None:
        """Learn from a call that ran near: all that it took, what its function took there, and bytes both ways."""
        with self._lock:
            known = self._learned(function, "near", key, read_bytes)
            known.work_s["near"].add(ran_s / max(1, read_bytes))
            known.moved_bytes.add(moved_bytes)
            known.rest_s.add(max(0.0, took_s - ran_s))

    def was_refused(self, function: tuple[str, int], *, took_s: float) -> None:
        """Learn from a call that was refused near, after so long; it then runs here."""
        with self._lock:
            known = self._functions.setdefault(function, _Learned())
            known.since["near"] = 0
            known.rest_s.add((known.rest_s.value or 0.0) + took_s)

    def was_here(
        self, function: tuple[str, int], key: str, *, took_s: float, waited_s: float, moved_bytes: int, read_bytes: int
    ) -> None:
        """Learn from a call that ran here: all that it took, and how long it waited for the storage role."""
        with self._lock:
            known = self._learned(function, "here", key, read_bytes)
            known.work_s["here"].add(max(0.0, took_s - waited_s) / max(1, read_bytes))
            if moved_bytes < _COUNTS_FROM_BYTES:
                self._answer_s.add(waited_s)
            else:
                self._byte_s.add(max(0.0, waited_s - (self._answer_s.value or 0.0)) / moved_bytes)

    def _learned(self, function: tuple[str, int], way: Way, key: str, read_bytes: int) -> _Learned:
        known = self._functions.setdefault(function, _Learned())
        for one in known.since:
            known.since[one] += 1
        known.since[way] = 0
        known.read_bytes.add(read_bytes)
        if len(self._sizes) >= 10_000:
            self._sizes.clear()
        self._sizes[key] = read_bytes
        return known


def costs_of(named: str) -> NearCosts:
    """Return what this process has learned of the storage role at a URL."""
    return _costs.setdefault(named, NearCosts()) if named else NearCosts()


_costs: Final[dict[str, NearCosts]] = {}
