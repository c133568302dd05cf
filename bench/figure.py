"""What is measured and how it is told: figures beside their floors, sizes, and the table."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from bench import programs

import weftrun

ROOT = Path(__file__).resolve().parents[1]
"""Where this repository lies."""


class Absent(Exception):
    """A figure can't be taken here; the text says what is missing and how to get it."""


class Sizes(msgspec.Struct, frozen=True):
    """How much is done for one value of a figure."""

    chain_steps: int = 1_000
    fan_out_calls: int = 10_000
    runs_per_thread: int = 200
    map_items: int = 1_000_000
    array_bytes: int = 100_000_000
    handovers: int = 3
    dag_depth: int = 12
    dag_bytes: int = 1_000_000
    cold_starts: int = 30
    imports: int = 5
    idle_s: float = 5.0
    ended_runs: int = 100_000
    left_runs: int = 1_000
    waiting_runs: int = 100_000
    ttl_s: float = 10.0
    hinted: int = 7
    server_runs_per_thread: int = 40
    dbos_chain_steps: int = 200
    dbos_runs_per_thread: int = 10
    dbos_calls: int = 1_000
    dbos_calls_once: int = 10_000


QUICK = Sizes(
    chain_steps=200, fan_out_calls=2_000, runs_per_thread=30, map_items=200_000, handovers=1, dag_depth=6,
    cold_starts=10, imports=3, idle_s=2.0, ended_runs=10_000, left_runs=100, waiting_runs=5_000, ttl_s=2.0,
    server_runs_per_thread=10, dbos_chain_steps=50, dbos_runs_per_thread=3, dbos_calls=100, dbos_calls_once=500,
    hinted=1,
)  # fmt: skip


class Setting(msgspec.Struct, frozen=True):
    """How to measure: where files may lie, how many rounds and Sandboxes, and the sizes."""

    folder: Path
    rounds: int
    sandboxes: int
    sizes: Sizes = Sizes()


class Figure(msgspec.Struct):
    """One line of the table.

    Attributes:
        values: of weftrun, one a round.
        floor: what `floors` are: what this machine does without weftrun, one a round; or a fixed limit.
        inside: what exactly lies between the two looks at the clock, on both sides.
        must, aim: how the ratio of the medians must, and should, lie; None for a figure without a target.
        at_least: whether the ratio must be at least that, not at most.
        commits: transactions of the Journal, per Step or Run as `per` says, one value a round.
    """

    name: str
    unit: str
    floor: str
    inside: str
    must: float | None = None
    aim: float | None = None
    at_least: bool = False
    values: list[float] = msgspec.field(default_factory=list)
    floors: list[float] = msgspec.field(default_factory=list)
    commits: list[float] = msgspec.field(default_factory=list)
    per: str = "Step"

    def add(self, value: float, floor: float) -> None:
        """Add one round: a value and the floor measured beside it."""
        self.values.append(value)
        self.floors.append(floor)

    @property
    def fixed(self) -> bool:
        """Whether it is held against a fixed limit, since nothing can be measured beside it."""
        return self.floor.startswith("limit")

    @property
    def ratio(self) -> float:
        """Median over median."""
        return statistics.median(self.values) / statistics.median(self.floors)

    @property
    def ratios(self) -> list[float]:
        """The ratio of each round by itself."""
        return [value / floor for value, floor in zip(self.values, self.floors, strict=True)]

    def reaches(self, ratio: float, target: float | None) -> bool:
        """Whether a ratio is as good as a target; there is nothing to reach without one."""
        return target is not None and (ratio >= target if self.at_least else ratio <= target)

    @property
    def verdict(self) -> str:
        """What became of the target, said of the medians; rounds that say otherwise are named."""
        if self.must is None:
            return "no target"
        holds = self.reaches(self.ratio, self.must)
        word = "aim met" if self.reaches(self.ratio, self.aim) else "holds" if holds else "MISSED"
        other = sum(self.reaches(ratio, self.must) != holds for ratio in self.ratios)
        return f"{word}, not in {other} of {len(self.ratios)} rounds" if other else word


def limit(name: str, unit: str, at_most: float, inside: str) -> Figure:
    """Return a figure that is held against a fixed limit."""
    return Figure(name, unit, f"limit of {at_most:g} {unit}", inside, must=1.0)


# ---------------------------------------------------------------------- measuring


@contextmanager
def engine(
    setting: Setting, url: str = "", cluster: str | None = None, control: str = "worker"
) -> Iterator[weftrun.Engine]:
    """Open an engine on a fresh Journal, a SQLite file unless a URL is given, with its Sandboxes warm."""
    folder = Path(tempfile.mkdtemp(dir=setting.folder))
    os.environ["WEFTRUN_FOLDER"] = str(folder)  # for what lies beside a Journal that is no file
    url = url or f"sqlite:///{folder}/journal.db"
    with weftrun.open(url, sandboxes=setting.sandboxes, cluster=cluster, control=control) as opened:
        opened.run(programs.plain, 1)
        opened.run(programs.fan_out, 64)
        yield opened


def timed(action: Callable[[], object]) -> float:
    """Return how long a call took, in seconds."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def commits(opened: weftrun.Engine) -> int:
    """Return how many transactions an engine has committed."""
    return opened._core.commits  # type: ignore[attr-defined,no-any-return]


# ---------------------------------------------------------------------- telling


def spread(values: list[float]) -> str:
    """Return median and range as text."""
    return f"{short(statistics.median(values))} ({short(min(values))} to {short(max(values))})"


def short(value: float) -> str:
    """Return a value as people read it: three digits, or all of a large number."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"


def table(figures: list[Figure]) -> str:
    """Return all figures as a table, and below it what is inside each."""
    rows = [
        ("what", "weftrun, median (range)", "floor, median (range)", "ratio (by round)", "target", "verdict", "commits")
    ]
    for figure in figures:
        sign = "≥" if figure.at_least else "≤"
        rows.append((
            f"{figure.name}, {figure.unit}",
            spread(figure.values),
            figure.floor if figure.fixed else f"{figure.floor}: {spread(figure.floors)}",
            _ratio(figure),
            "" if figure.must is None else f"{sign} {figure.must:g}" + (f", aim {figure.aim:g}" if figure.aim else ""),
            figure.verdict,
            f"{short(statistics.median(figure.commits))} a {figure.per}" if figure.commits else "",
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    inside: dict[str, list[str]] = {}
    for figure in figures:
        inside.setdefault(figure.inside, []).append(figure.name)
    return "\n".join([*lines, "", *(f"{' · '.join(names)}: {text}" for text, names in inside.items())])


def _ratio(figure: Figure) -> str:
    return f"{short(figure.ratio)} ({short(min(figure.ratios))} to {short(max(figure.ratios))})"
