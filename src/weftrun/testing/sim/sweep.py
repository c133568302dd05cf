"""The crash sweep: break every port call of a scenario in turn, then pairs, and judge each history.

Complete where random search is only likely: a scenario has some dozens of points, each with a few faults.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from weftrun.sdk.function import Function
from weftrun.testing.oracles import findings
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import KINDS, PAUSES, Fault, Faults
from weftrun.testing.sim.world import Settings, World

Plan = Mapping[int, Fault]


@dataclass(frozen=True)
class Scenario:
    """A small history to break.

    Attributes:
        starts: lets clients start their Runs.
        functions: what Sandboxes can enter.
        judge: returns what is wrong with the answers, beyond what every history must keep.
        pause_s: how long an engine stands still that is made to, in seconds of virtual time.
        faults: which ones are tried.
    """

    name: str
    starts: Callable[[World], object]
    functions: tuple[Function[..., Any], ...]
    settings: Settings = field(default_factory=Settings)
    judge: Callable[[World], list[str]] = lambda _: []
    pause_s: float = 25.0
    faults: Collection[Fault] = tuple(Fault)


@dataclass(frozen=True)
class Broken:
    """A history that broke a promise, and how to see it again."""

    scenario: str
    seed: int
    plan: Plan
    findings: tuple[str, ...]
    story: str

    def __str__(self) -> str:
        """Return the finding with its plan and its story."""
        plan = {number: fault.name for number, fault in self.plan.items()}
        return f"{self.scenario} seed {self.seed} plan {plan}:\n  " + "\n  ".join(self.findings) + f"\n{self.story}"


def play(scenario: Scenario, seed: int, plan: Plan, folder: Path) -> tuple[World, Broken | None]:
    """Play one history of a scenario and judge it."""
    world = World(
        seed, folder, scenario.functions, faults=Faults(plan, pause_s=scenario.pause_s), settings=scenario.settings
    )
    scenario.starts(world)
    try:
        world.run()
        found = [*findings(world), *scenario.judge(world)]
    except Exception as error:  # noqa: BLE001  # a bug of the engine may be any error; the next one must be played
        found = [f"{type(error).__name__}: {error}"]
    broken = Broken(scenario.name, seed, dict(plan), tuple(found), world.story()) if found else None
    world.close()
    return world, broken


def singles(
    world: World, faults: Collection[Fault] = tuple(Fault), *, after: int = -1, only: str = ""
) -> Iterator[Plan]:
    """Yield a plan for each of these faults at each point past number `after`, of calls whose name begins with `only`.

    Pauses are tried where there is another engine that goes on meanwhile.
    """
    for number, name in enumerate(world.faults.points):
        if number > after and name.startswith(only):
            for fault in KINDS[name]:
                if fault in faults and (world.settings.engines > 1 or fault not in PAUSES):
                    yield {number: fault}


def sweep(
    scenario: Scenario,
    folder: Path,
    *,
    seed: int = 1,
    only: str = "",
    given: Plan | None = None,
    share: float = 1.0,
) -> Iterator[Broken]:
    """Break each point of a scenario in turn, those after the faults that are given; yield what broke a promise.

    With a `share` below 1 only so many of the faults are tried, drawn by `seed`.
    """
    given = given or {}
    chance = Chance(seed, f"faults of {scenario.name}")
    world, broken = play(scenario, seed, given, folder)
    if broken is not None:
        yield broken
    for plan in singles(world, scenario.faults, after=max(given, default=-1), only=only):
        if chance.happens(share):
            _, broken = play(scenario, seed, {**given, **plan}, folder)
            if broken is not None:
                yield broken


def sweep_pairs(
    scenario: Scenario, folder: Path, *, seed: int = 1, share: float = 1.0, only: str = ""
) -> Iterator[Broken]:
    """Break two points, the second of the history that the first one made; `share` of all pairs, drawn by `seed`."""
    chance = Chance(seed, f"pairs of {scenario.name}")
    world, _ = play(scenario, seed, {}, folder)
    for first in singles(world, scenario.faults, only=only):
        bent, broken = play(scenario, seed, first, folder)
        if broken is not None:
            yield broken
            continue
        for second in singles(bent, scenario.faults, after=max(first), only=only):
            if chance.happens(share):
                _, broken = play(scenario, seed, {**first, **second}, folder)
                if broken is not None:
                    yield broken
