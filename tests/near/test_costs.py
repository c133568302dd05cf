"""The way that a storage call takes costs little more than the better one, over links and functions of all kinds."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest

from weftrun.adapters.near.costs import NearCosts, Way

FUNCTION = ("digest", 3)
MS = 1e-3


class World:
    """A link, a storage role, and a function: what a call takes either way, give or take a tenth."""

    def __init__(self, rate: float, kept: float, here_s: float, near_s: float, busy_s: float) -> None:
        self.rate, self.kept, self.here_s, self.near_s, self.busy_s = rate, kept, here_s, near_s, busy_s
        self.dice = random.Random(7)

    def parts(self, way: Way, nbytes: int) -> tuple[float, float, int]:
        """Return what waits for the storage role, what computes, and bytes that move."""
        if way == "here":
            return 1 * MS + nbytes / self.rate, nbytes * self.here_s, nbytes
        moved = 300 + int(nbytes * self.kept)
        return 2 * MS + self.busy_s + moved / self.rate, nbytes * self.near_s, moved

    def cost(self, way: Way, nbytes: int) -> float:
        waited, worked, _ = self.parts(way, nbytes)
        return waited + worked

    def call(self, costs: NearCosts, key: str, nbytes: int) -> Way:
        way = costs.choose(FUNCTION, key).way
        waited, worked, moved = self.parts(way, nbytes)
        waited, worked = waited * self.dice.uniform(0.9, 1.1), worked * self.dice.uniform(0.9, 1.1)
        took = waited + worked
        if way == "near":
            costs.was_near(FUNCTION, key, took_s=took, ran_s=worked, moved_bytes=moved, read_bytes=nbytes)
        else:
            costs.was_here(FUNCTION, key, took_s=took, waited_s=waited, moved_bytes=moved, read_bytes=nbytes)
        return way


def worlds() -> Iterator[World]:
    for rate, kept, here_s, slower, busy_s in itertools.product(
        (25e6, 100e6, 2e9), (0.0, 0.1, 0.9, 1.5), (1e-9, 5e-9, 50e-9), (0.7, 1.0, 2.0), (0.0, 30 * MS)
    ):
        yield World(rate, kept, here_s, here_s * slower, busy_s)


@pytest.mark.parametrize("nbytes", [64 << 10, 4 << 20])
def test_what_is_chosen_costs_at_most_a_tenth_more_than_the_better_way(nbytes: int) -> None:
    """At each of 216 points, over 120 calls after the first ten."""
    worst = 0.0
    for world in worlds():
        costs = NearCosts()
        for _ in range(10):
            world.call(costs, "k", nbytes)
        spent = sum(world.cost(world.call(costs, "k", nbytes), nbytes) for _ in range(120))
        better = 120 * min(world.cost("near", nbytes), world.cost("here", nbytes))
        worst = max(worst, spent / better)
    assert worst <= 1.1


def test_it_leaves_a_storage_role_that_becomes_busy() -> None:
    costs, world = NearCosts(), World(100e6, 0.0, 2e-9, 2e-9, 0.0)
    size = 1 << 20
    ways = [world.call(costs, "k", size) for _ in range(50)]
    assert ways[-10:].count("near") == 10
    world.busy_s = 100 * MS
    ways = [world.call(costs, "k", size) for _ in range(50)]
    assert ways[-10:].count("here") == 10


def test_it_goes_back_to_a_storage_role_that_is_free_again_and_stays_away_from_one_that_refuses() -> None:
    costs, world = NearCosts(), World(100e6, 0.0, 2e-9, 2e-9, 50 * MS)
    for _ in range(50):
        world.call(costs, "k", 1 << 20)
    world.busy_s = 0.0
    ways = [world.call(costs, "k", 1 << 20) for _ in range(600)]
    assert ways[-20:].count("near") >= 19
    for _ in range(5):
        costs.was_refused(FUNCTION, took_s=1.0)
    assert costs.choose(FUNCTION, "k").way == "here"


def test_it_says_what_it_expects() -> None:
    costs, world = NearCosts(), World(25e6, 0.0, 1e-9, 1e-9, 0.0)
    assert costs.choose(FUNCTION, "k").reason == "its data is there"
    for _ in range(3):
        world.call(costs, "k", 1 << 20)
    told = costs.choose(FUNCTION, "k")
    assert told.way == "near"
    assert told.reason.startswith("expected to take ")
    assert "ms there and" in told.reason


def test_the_size_of_a_key_counts() -> None:
    """Of one function, a small key is read here where an answer takes longest, and a large one is worked on there."""
    costs, world = NearCosts(), World(25e6, 0.0, 1e-9, 1e-9, 5 * MS)
    for _ in range(30):
        world.call(costs, "small", 1_000)
        world.call(costs, "large", 4 << 20)
    assert costs.choose(FUNCTION, "large").way == "near"
    assert "here" in {world.call(costs, "small", 1_000) for _ in range(20)}
