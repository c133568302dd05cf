"""`python -m bench`: what weftrun costs, beside what this machine can do without it, in one run.

Every figure is taken in rounds, each beside its floor, and printed as median and spread with the ratio of the medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import msgspec
from bench import floors
from bench import programs as p
from bench.memory import Peak

import weftrun


class Figure(msgspec.Struct):
    """One line of the table. `values` and `floors` are of one unit; `bound` says how the ratio must lie."""

    name: str
    unit: str
    values: list[float]
    floor: str
    floors: list[float]
    must: float
    at_least: bool = False
    note: str = ""

    @property
    def ratio(self) -> float:
        """Median over median."""
        return statistics.median(self.values) / statistics.median(self.floors)

    @property
    def holds(self) -> bool:
        """Whether the target is met."""
        return self.ratio >= self.must if self.at_least else self.ratio <= self.must


def spread(values: list[float]) -> str:
    """Return median and range as text."""
    return f"{statistics.median(values):,.4g} ({min(values):,.4g} to {max(values):,.4g})"


@contextmanager
def engine(folder: Path, workers: int) -> Iterator[weftrun.Engine]:
    """Open an engine on a fresh Journal."""
    with weftrun.open(f"sqlite:///{tempfile.mkdtemp(dir=folder)}/journal.db", workers=workers) as opened:
        opened.run(p.plain, 1)
        opened.run(p.fan_out, 64)
        yield opened


def timed(action: Callable[[], object]) -> float:
    """Return how long a call took, in seconds."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def commits(opened: weftrun.Engine) -> int:
    """Return how many transactions an engine has committed."""
    return opened._core.commits  # type: ignore[attr-defined,no-any-return]


def chains(folder: Path, rounds: int, steps: int, workers: int) -> list[Figure]:
    """Chains of small Steps, each a dependent of the one before."""
    composite = Figure("chain, sync, per Step", "µs", [], "composite floor", [], 1.6)
    default = Figure("chain, defaults, per Step", "µs", [], "composite floor", [], 1.6)
    auto = Figure("chain, auto, effects none, per Step", "µs", [], "two-CPU round trip", [], 5.0)
    waits = Figure("awaiting body, per Step", "µs", [], "auto chain", [], 2.5)
    commit = floors.Commit(folder)
    with engine(folder, workers) as opened:
        for _ in range(rounds):
            with floors.round_trip(pinned=True) as trip:
                auto.floors.append(statistics.median(floors.each(trip, 400)) * 1e6)
            with floors.round_trip(pinned=False) as trip:
                both = statistics.median(floors.each(lambda trip=trip: (trip(), commit()), 200)) * 1e6
            for figure, program in ((composite, p.sync_chain), (default, p.default_chain), (auto, p.auto_chain)):
                before = commits(opened)
                figure.values.append(timed(lambda program=program: opened.run(program, steps)) / steps * 1e6)
                figure.note = f"{(commits(opened) - before) / steps:.2f} commits a Step"
            composite.floors.append(both)
            default.floors.append(both)
            waits.values.append(timed(lambda: opened.run(p.awaiting, steps)) / steps * 1e6)
            waits.floors.append(auto.values[-1])
    commit.close()
    return [composite, default, auto, waits]


def fan(folder: Path, rounds: int, steps: int, workers: int) -> Figure:
    """Separate calls of one trivial Function, durable, against a pool that is not."""
    figure = Figure(f"fan-out of {steps:,} calls", "Steps/s", [], "ProcessPoolExecutor", [], 12.0, at_least=True)
    with engine(folder, workers) as opened:
        for _ in range(rounds):
            figure.floors.append(floors.pool_submits(workers, steps))
            before = commits(opened)
            figure.values.append(steps / timed(lambda: opened.run(p.fan_out, steps)))
            figure.note = f"{(commits(opened) - before) / steps:.4f} commits a Step"
    return figure


def runs(folder: Path, rounds: int, each: int, workers: int) -> Figure:
    """Runs of one Step from 16 threads, with the default policy: two durable points each."""
    figure = Figure("one-step Runs, 16 threads, per Run", "µs", [], "max(0.4 commit, 5 round trips)", [], 1.0)
    commit = floors.Commit(folder)

    def client(opened: weftrun.Engine) -> None:
        for i in range(each):
            opened.run(p.plain, i)

    with engine(folder, workers) as opened:
        for _ in range(rounds):
            full = statistics.median(floors.each(commit, 200)) * 1e6
            with floors.round_trip(pinned=True) as trip:
                figure.floors.append(max(0.4 * full, 5 * statistics.median(floors.each(trip, 400)) * 1e6))
            threads = [threading.Thread(target=client, args=(opened,)) for _ in range(16)]
            before = commits(opened)
            begin = time.perf_counter()
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            figure.values.append((time.perf_counter() - begin) / (16 * each) * 1e6)
            figure.note = f"{(commits(opened) - before) / (16 * each):.2f} commits a Run"
    commit.close()
    return figure


def maps(folder: Path, rounds: int, items: int, workers: int) -> list[Figure]:
    """One map, against the pool's own map; and the memory of everything together."""
    speed = Figure(f"map over {items:,} items", "items/s", [], "PPE.map(chunksize=64)", [], 1.0, at_least=True)
    memory = Figure("  peak memory of all processes", "MB", [], "200 MB", [], 1.0)
    for _ in range(rounds):
        speed.floors.append(floors.pool_map(workers, items))
        with engine(folder, workers) as opened, Peak() as peak:
            speed.values.append(items / timed(lambda opened=opened: opened.run(p.big_map, items)))
        memory.values.append(peak.nbytes / 1e6)
        memory.floors.append(200.0)
    speed.note = "must also be ≥ 500,000 items/s"
    return [speed, memory]


def describe() -> str:
    """Return what this machine is."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    return (
        f"{cpu}, {os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, "
        f"SQLite {apsw.sqlite_lib_version()}, weftrun {weftrun.__version__}"
    )


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def main() -> int:
    """Measure, print, and write the JSON that was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure")
    parser.add_argument("--quick", action="store_true", help="small sizes and two rounds: a look, not a measurement")
    parser.add_argument("--json", type=Path, help="write all values to this file")
    options = parser.parse_args()
    rounds, scale = (2, 10) if options.quick else (options.rounds, 1)
    workers = os.cpu_count() or 1
    print(describe())
    with tempfile.TemporaryDirectory(dir=".") as name:
        folder = Path(name).resolve()
        table = chains(folder, rounds, 1_000 // scale, workers)
        table.append(fan(folder, rounds, 10_000 // scale, workers))
        table.append(runs(folder, rounds, 200 // scale, workers))
        table += maps(folder, rounds, 1_000_000 // scale, workers)
    print(f"{'what':<38} {'unit':<8} {'median (range)':<32} {'floor':<48} ratio  must")
    for figure in table:
        sign = "≥" if figure.at_least else "≤"
        verdict = "holds" if figure.holds else "MISSED"
        floor = f"{figure.floor}: {spread(figure.floors)}"
        print(
            f"{figure.name:<38} {figure.unit:<8} {spread(figure.values):<32} {floor:<48} "
            f"{figure.ratio:5.2f}  {sign} {figure.must:g} {verdict}  {figure.note}"
        )
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode({"machine": describe(), "figures": table})))
    return 0


if __name__ == "__main__":
    sys.exit(main())
