"""Figures 7a, 7b: the travel application by rate and by variant, beside a write-ahead log, with functions that die."""

from __future__ import annotations

import argparse
import collections
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from examples import reservation as travel

import weftrun
from experiments.exoflow.write_ahead import WriteAhead
from experiments.table import Table

_MIX = {"search": 60.0, "recommend": 39.0, "user": 0.5, "reserve": 0.5}
_READS = {"search": ("geo", "rate"), "recommend": ("recommend",), "user": ("user",)}
_READERS: dict[str, weftrun.Function[..., list[int]]] = {
    "search": travel.search,
    "recommend": travel.recommend,
    "user": travel.user,
}
_ITEMS, _CAPACITY, _POINTS, _USERS = 100, 10, 80, 501
_BASELINE = "write-ahead log"
Trip = tuple[str, int, int, int]
Ask = Callable[[str, str, int], str]
"""Does one request: its id, what is asked, and the number that it is drawn by; returns what was answered."""


@dataclass
class Measured:
    """What became of one setting.

    Attributes:
        said: what each reservation was answered, by its id.
        wrong: what is wrong with the stores afterwards.
    """

    latencies_s: list[float] = field(default_factory=list)
    failed: int = 0
    said: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the latencies, in milliseconds."""
        ordered = sorted(self.latencies_s) or [float("nan")]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def count(self, *kinds: str) -> int:
        """Return how many of these things are wrong."""
        return sum(sentence.startswith(kinds) for sentence in self.wrong)


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure the mix by rate, and reservations alone by variant, each with and without faults."""
    del out
    parser = argparse.ArgumentParser(prog="python -m experiments exoflow/reservation")
    parser.add_argument("--rates", type=float, nargs="+", default=[20.0, 40.0] if quick else [25.0, 50.0, 100.0, 150.0])
    parser.add_argument("--seconds", type=float, default=8.0 if quick else 20.0, help="of each rate, and each variant")
    parser.add_argument("--faults", type=float, default=0.1, help="share of requests that go wrong")
    parser.add_argument("--latency", type=float, default=0.004, help="mean time that a function takes, in seconds")
    given = parser.parse_args(arguments)
    return [_by_rate(given), _by_variant(given)]


def _by_rate(given: argparse.Namespace) -> Table:
    rows: list[Sequence[object]] = []
    for rate in given.rates:
        for faults in (0.0, given.faults):
            for name in (_BASELINE, "parallel"):
                count = int(rate * given.seconds)
                measured = _measure(name, _mixed(count), rate, faults, given.latency)
                rows.append(
                    (rate, name, faults, count, measured.failed, measured.quantile_ms(0.5), measured.quantile_ms(0.99))
                )
    columns = ("requests/s", "system", "faults", "requests", "failed", "p50 ms", "p99 ms")
    title = f"Figure 7a: 60 % search, 39 % recommend, 0.5 % user, 0.5 % reserve; {given.seconds:g} s each"
    return Table("reservation-rates", title, columns, rows, _NOTES_RATES)


def _by_variant(given: argparse.Namespace) -> Table:
    rows: list[Sequence[object]] = []
    rate = 5.0
    count = int(rate * given.seconds)
    for faults in (0.0, given.faults):
        for name in (_BASELINE, *travel.VARIANTS):
            found = _measure(name, ["reserve"] * count, rate, faults, given.latency)
            answers = collections.Counter(found.said.values())
            rows.append(
                (
                    *(name, faults, count, answers["ordered"], answers["busy"], found.failed),
                    *(found.quantile_ms(0.5), found.quantile_ms(0.99)),
                    *(found.count("double"), found.count("oversold", "miscounted"), found.count("lock", "note")),
                    found.count("lost", "unasked"),
                )
            )
    columns = (
        *("variant", "faults", "requests", "ordered", "busy", "failed", "p50 ms", "p99 ms"),
        *("double orders", "miscounted", "locks left", "lost"),
    )
    return Table("reservation-variants", f"Figure 7b: reservations alone, {rate:g} a second", columns, rows, _NOTES)


_NOTES_RATES = (
    "Latency is from the time at which a request was due (open loop) to its answer. A function takes a drawn time of "
    "4 ms in the mean; `faults` is the share of requests that kill the process which serves them, before, during or "
    "after the change of state, or lose the reply. The original lost requests before any work only. The paper's rates "
    "(100 to 1,000 a second) are those of a cluster."
)
_NOTES = (
    "The log's order is placed behind its answer and draws its id anew each time, as the original does: its latency "
    "leaves the order out, and a lost reply orders twice. `busy`: the lock was another trip's, and all was let go."
)


def _mixed(count: int) -> list[str]:
    chance = random.Random(count)
    return chance.choices(list(_MIX), list(_MIX.values()), k=count)


def _measure(name: str, asked: list[str], rate: float, faults: float, latency_s: float) -> Measured:
    """Ask for these things at a rate, whatever becomes of them, and look at the stores afterwards."""
    with tempfile.TemporaryDirectory(prefix="weftrun-travel-") as folder:
        place = Path(folder)
        with travel.functions(place, faults=faults, latency_s=latency_s) as services:
            travel.stock(place, _ITEMS, _CAPACITY)
            with _asking(name, place, services) as ask:
                measured = _replay(ask, asked, rate)
        measured.wrong = travel.wrong(place, measured.said)
    return measured


@contextmanager
def _asking(name: str, folder: Path, services: dict[str, str]) -> Iterator[Ask]:
    if name == _BASELINE:
        log = WriteAhead(folder, services)

        def logged(id: str, what: str, n: int) -> str:
            if what == "reserve":
                return log.reserve(id, *_trip(n))
            log.look(id, _READS[what], n % _POINTS)
            return ""

        try:
            yield logged
        finally:
            log.settle()
        return
    with weftrun.open(f"sqlite:///{folder}/journal.db", sandboxes=16) as engine:

        def asked(id: str, what: str, n: int) -> str:
            if what == "reserve":
                return str(engine.run(travel.VARIANTS[name].options(id=id), services, *_trip(n)))
            engine.run(_READERS[what].options(id=id), services, n % _POINTS)
            return ""

        for warm in range(4):  # the first Sandboxes are made before anything is timed
            engine.run(travel.user, services, warm)
        yield asked


def _trip(n: int) -> tuple[int, int, int]:
    chance = random.Random(f"trip {n}")
    return n % _USERS, chance.randrange(_ITEMS), chance.randrange(_ITEMS)


def _replay(ask: Ask, asked: list[str], rate: float) -> Measured:
    measured = Measured()
    begin = time.monotonic() + 0.1

    def one(n: int, what: str) -> None:
        due = begin + n / rate
        time.sleep(max(0.0, due - time.monotonic()))
        id = f"{what}-{n}"
        try:
            answer = ask(id, what, n)
        except (weftrun.WeftrunError, OSError):
            measured.failed += 1
            return
        measured.latencies_s.append(time.monotonic() - due)
        if what == "reserve":
            measured.said[id] = answer

    with ThreadPoolExecutor(max_workers=64) as threads:
        for done in [threads.submit(one, n, what) for n, what in enumerate(asked)]:
            done.result()
    return measured
