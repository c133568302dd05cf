"""Limits of Functions: how engines divide the places, and that no more Attempts run at once, whatever dies."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.conftest import until
from tests.queues.limited import lines, most_at_once, one, page, pages

from weftrun.assembly import open_engine
from weftrun.machines.places import Allowed, divide
from weftrun.model.errors import PolicyError, UsageError
from weftrun.model.places import PlaceShare, PlaceShares
from weftrun.sdk.function import function


def divided(limit: int, mine: tuple[int, int], *others: tuple[int, int], in_use: int = 0, waiting: int = 0) -> Allowed:
    shares = PlaceShares("", PlaceShare(*mine), tuple(PlaceShare(*other) for other in others))
    return divide(limit, shares, in_use, waiting)


@pytest.mark.parametrize(
    ("allowed", "places", "held", "contended"),
    [
        (divided(3, (0, 0), waiting=2), 2, 2, False),
        (divided(3, (0, 0), waiting=9), 3, 3, True),
        (divided(3, (3, 9), (0, 5), in_use=3, waiting=6), 1, 3, True),
        (divided(3, (3, 9), (0, 5), in_use=1, waiting=6), 1, 1, True),
        (divided(4, (0, 0), (3, 9), waiting=9), 1, 1, True),
        (divided(4, (4, 9), (0, 1), in_use=4, waiting=9), 3, 4, True),
        (divided(1, (1, 5), (0, 5), in_use=0, waiting=5), 0, 0, True),
        (divided(1, (0, 5), (0, 5), in_use=0, waiting=5), 1, 1, True),
        (divided(2, (2, 2), in_use=0, waiting=0), 0, 0, False),
        (divided(1, (3, 5), in_use=3, waiting=2), 1, 3, True),
    ],
)
def test_who_gets_how_many(allowed: Allowed, places: int, held: int, contended: bool) -> None:
    """What is free; an equal share where others lack some; turns where there are fewer places than engines."""
    assert (allowed.places, allowed.share.held, allowed.is_contended) == (places, held, contended)


Divide = Callable[[int, PlaceShares, int, int], Allowed]


class History:
    """Four engines run Attempts under one limit, decide at one moment and write at another, and die."""

    def __init__(self, seed: int, divides: Divide, *, checks: bool = True, dies: bool = True) -> None:
        self.chance = random.Random(seed)
        self.limit = self.chance.choice([1, 2, 3, 7])
        self.divides = divides
        self.checks = checks
        self.dies = dies
        self.revision = 0
        self.rows = [PlaceShare() for _ in range(4)]
        self.places = [0] * 4
        self.running = [0] * 4
        self.waiting = [0] * 4
        self.decided: dict[int, tuple[int, Allowed]] = {}
        self.done = [0] * 4
        self.wrong: list[str] = []

    def play(self) -> list[str]:
        given = 150
        for _ in range(20_000):
            engine, what = self.chance.randrange(4), self.chance.random()
            if what < 0.15 and given:
                self.waiting[engine] += 1
                given -= 1
            elif what < 0.45:
                self.decide(engine)
            elif what < 0.65:
                self.write(engine)
            elif what < 0.95:
                self.run(engine)
            elif what > 0.99 and self.dies:
                self.die(engine)
            if sum(self.running) > self.limit:
                self.wrong.append(f"{sum(self.running)} run, of {self.limit}")
            if not given and not any(self.waiting) and not any(self.running):
                return self.wrong
        return [*self.wrong, "Attempts wait for ever"]

    def decide(self, engine: int) -> None:
        others = tuple(row for n, row in enumerate(self.rows) if n != engine)
        shares = PlaceShares(str(self.revision), self.rows[engine], others)
        self.decided[engine] = (
            self.revision, self.divides(self.limit, shares, self.running[engine], self.waiting[engine]),
        )  # fmt: skip

    def write(self, engine: int) -> None:
        revision, allowed = self.decided.pop(engine, (-1, None))
        if allowed is None or (self.checks and revision != self.revision):
            return
        if allowed.share.held < self.running[engine]:
            return  # an Attempt has begun since: an engine decides and writes in one go
        self.revision += 1
        self.rows[engine] = allowed.share
        self.places[engine] = allowed.places

    def run(self, engine: int) -> None:
        if self.waiting[engine] and self.running[engine] < self.places[engine]:
            self.waiting[engine] -= 1
            self.running[engine] += 1
        elif self.running[engine] and self.chance.random() < 0.3:
            self.running[engine] -= 1
            self.done[engine] += 1

    def die(self, engine: int) -> None:
        """What it ran waits again, at another engine."""
        self.waiting[(engine + 1) % 4] += self.waiting[engine] + self.running[engine]
        self.waiting[engine] = self.running[engine] = self.places[engine] = 0
        self.rows[engine] = PlaceShare()
        self.decided.pop(engine, None)


@pytest.mark.parametrize("seed", range(8))
def test_histories_of_several_engines(seed: int) -> None:
    assert History(seed, divide).play() == []


def greedy(limit: int, shares: PlaceShares, in_use: int, waiting: int) -> Allowed:
    """Planted: an engine gives nothing back as long as it could use it."""
    free = max(0, limit - sum(other.held for other in shares.others))
    places = min(free, max(in_use + waiting, shares.mine.held))
    return Allowed(places, PlaceShare(places, in_use + waiting), is_contended=True)


def forgets_what_runs(limit: int, shares: PlaceShares, in_use: int, waiting: int) -> Allowed:
    """Planted: places are given back while Attempts run in them."""
    allowed = divide(limit, shares, in_use, waiting)
    return Allowed(allowed.places, PlaceShare(allowed.places, in_use + waiting), allowed.is_contended)


class Forgetting(History):
    def write(self, engine: int) -> None:
        revision, allowed = self.decided.pop(engine, (-1, None))
        if allowed is not None and revision == self.revision:
            self.revision += 1
            self.rows[engine], self.places[engine] = allowed.share, allowed.places


def test_planted_bugs_are_found() -> None:
    """A decision that is written whatever has changed; places that are given back too early, or never."""
    assert any(History(seed, divide, checks=False).play() for seed in range(6))
    assert any(Forgetting(seed, forgets_what_runs).play() for seed in range(6))
    assert any(History(seed, greedy, dies=False).play() for seed in range(6))


# ---------------------------------------------------------------------- real engines


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "ledger"


KILLED = """
import sys, weftrun
from tests.queues import limited
with weftrun.open(sys.argv[1], sandboxes=2, recover="none") as engine:
    engine.start(limited.stuck.options(id="killed"), sys.argv[2], sys.argv[3]).result()
"""


def test_engines_share_the_places_and_a_dead_one_gives_them_back(url: str, ledger: Path, tmp_path: Path) -> None:
    """Maps, calls of async bodies and Functions that are started: two at once, and all of them end."""
    gate = tmp_path / "gate"
    child = subprocess.Popen([sys.executable, "-c", KILLED, url, str(ledger), str(gate)], start_new_session=True)
    with open_engine(url, sandboxes=3, recover="none") as first, open_engine(url, sandboxes=3) as second:
        until(lambda: len(lines(ledger)) == 2)
        runs = [
            first.start(pages.options(id="map"), str(ledger), 6),
            second.start(pages.options(id="other"), str(ledger), 6),
            second.start(page.options(id="one"), str(ledger), "one"),
        ]
        until(lambda: any(run.waiting_for == "limit page" for run in runs))
        assert len(lines(ledger)) == 2, "the places of the one that lives are not taken"
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        gate.touch()
        for run in (*runs, second.get("killed")):
            run.result(timeout_s=60)
    assert most_at_once(ledger, killed=2) == 2
    assert_closed(url)


def test_a_limit_on_a_cluster_is_refused(url: str, ledger: Path) -> None:
    with (
        open_engine(url, sandboxes=1, cluster="local:1") as engine,
        pytest.raises(UsageError, match="open the engine without `cluster=`"),
    ):
        engine.run(page, str(ledger), "never")
    assert lines(ledger) == []


def test_what_can_not_be_a_limit() -> None:
    for value in (0, -1, 1.5, True, "two"):
        with pytest.raises(PolicyError, match="a number of Attempts that may run at once"):
            function(limit=value)(one)
    with pytest.raises(PolicyError, match="put it on the decorator"):
        page.options(limit=3)  # type: ignore[call-arg]
