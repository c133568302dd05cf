"""The swarm with hints that are lost, late, doubled or about nothing: every rule holds as it does without them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.sweeping import shared

from weftrun.model.ids import RunUid
from weftrun.model.records import Ended, Row
from weftrun.runtime.engine import EngineCore
from weftrun.testing.sim import process
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.loop import SimLoop
from weftrun.testing.sim.swarm import draw_world, judged

SEEDS = 120
PART = 30


class Channel:
    """What is said in a world, and how often it goes which way."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed, "hints")
        self.listeners: list[Lying] = []
        self.happened: Counter[str] = Counter()

    def committed(self, row: Row) -> None:
        """Tell of an end, sometimes; and now and then of nothing."""
        for listener in self.listeners:
            if isinstance(row.records[-1], Ended):
                listener.say_end(row.uid)
            elif self.chance.happens(0.2):
                listener.say_anything()


class Lying:
    """Hints of one engine (port Hints)."""

    def __init__(self, channel: Channel, loop: SimLoop) -> None:
        self._channel = channel
        self._loop = loop
        self._watched: dict[RunUid, None] = {}
        self._ended: Callable[[Sequence[RunUid]], None] | None = None
        self._changed: Callable[[], None] = lambda: None

    def listen(self, ended: Callable[[Sequence[RunUid]], None], changed: Callable[[], None]) -> None:
        self._ended, self._changed = ended, changed
        self._channel.listeners.append(self)

    def watch(self, run: RunUid) -> None:
        if run in self._watched:
            return
        self._watched[run] = None
        self._say("watched", lambda: self._told([run]), 0.01)

    def forget(self, run: RunUid) -> None:
        self._watched.pop(run, None)

    def close(self) -> None:
        pass

    def say_end(self, run: RunUid) -> None:
        if run in self._watched:
            if self._channel.chance.happens(0.3):
                self._channel.happened["lost"] += 1
                return
            self._say("told", lambda: self._told([run]), 0.01)
            if self._channel.chance.happens(0.3):
                self._say("doubled, and late", lambda: self._told([run, run]), 3.0)

    def say_anything(self) -> None:
        chance = self._channel.chance
        if chance.happens(0.5):
            self._say("changed", self._changed, 0.5)
        elif self._watched:
            run = chance.one_of(list(self._watched))
            self._say("about nothing", lambda: self._told([run, RunUid("0badcafe" * 4)]), 0.5)

    def _told(self, runs: Sequence[RunUid]) -> None:
        assert self._ended is not None
        self._ended(runs)

    def _say(self, kind: str, say: Callable[[], None], within_s: float) -> None:
        self._channel.happened[kind] += 1
        self._loop.call_at(self._loop.now() + self._channel.chance.between(0.0, within_s), say)


def play(seed: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Channel:
    """Play a seed whose engines are several, and fail if a rule is broken in it."""
    channel = Channel(seed)

    def hinted(*, loop: Any, **ports: Any) -> EngineCore:
        return EngineCore(loop=loop, hints=(Lying(channel, loop),), **ports)

    with monkeypatch.context() as patch:
        patch.setattr(process, "EngineCore", hinted)
        world = draw_world(seed, folder)
        world.register.watchers.append(channel.committed)
        broken = judged(world) if world.settings.engines > 1 else None
    assert broken is None, f"seed {seed} with hints\n{broken}"
    return channel


@pytest.mark.parametrize("first", shared(range(0, SEEDS, PART)))
def test_seeds(first: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: Counter[str] = Counter()
    for seed in range(first, first + PART):
        happened += play(seed, folder, monkeypatch).happened
    assert set(happened) >= {"watched", "told", "changed", "lost", "doubled, and late", "about nothing"}, happened
