"""Forks in a simulated world: Runs that have ended are forked from a Step that is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from weftrun.machines.run import ForkWanted, fork_rows
from weftrun.model.errors import UsageError
from weftrun.model.ids import RunUid, StepId
from weftrun.model.policy import Bundle
from weftrun.model.records import ItemsSettled, Retried, Row, Settled, Started
from weftrun.runtime.forking import ForkAsked
from weftrun.testing.forks import copied_rows
from weftrun.testing.sim.actors import Actor
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.client import SimClient
from weftrun.testing.sim.world import World

_LOOKS_S = 0.1


class ForkActor(Actor[World]):
    """Forks some Runs when they have ended, each as a client that waits for the fork's answer.

    Attributes:
        forks: the clients of forks, with how many rows the Run had that was forked.
    """

    def __init__(self, chance: Chance) -> None:
        """Draw which Runs are forked once the world is there."""
        self.forks: list[tuple[SimClient, RunUid, int]] = []
        self._chance = chance
        self._sources: list[SimClient] = []
        self._left = 0

    def begin(self, world: World) -> None:
        """Choose the Runs."""
        durable = [client for client in world.clients if client.durable]
        self._sources = [client for client in durable if self._chance.happens(0.5)][:2]
        self._left = len(self._sources)
        for number, source in enumerate(self._sources):
            world.loop.call_at(world.loop.now() + _LOOKS_S, partial(self._look, world, source, f"fork-{number}"))

    def _look(self, world: World, source: SimClient, id: str) -> None:
        """Fork a Run once nobody asks for it any more."""
        if world.is_closing:
            return
        if not all(client.done for client in world.clients if client.id == source.id):
            world.loop.call_at(world.loop.now() + _LOOKS_S, partial(self._look, world, source, id))
            return
        self._left -= 1
        uid = source.uid
        if source.refused is not None or uid is None or uid in world.register.deleted:
            return
        rows = world.rows[uid]
        steps = [step for step in _steps(rows) if _may_begin(world, source, rows, step)]
        if not steps:
            return
        client = world.start(id, source.function, *source.args, slot=self._chance.below(world.settings.engines))
        client.fork = ForkAsked(source.id, self._chance.one_of(steps), source.function.spec, Bundle("sim"))
        self.forks.append((client, uid, len(rows)))
        world.comes(client)

    def is_over(self) -> bool:
        """Say whether all forks are asked for: their clients wait for them."""
        return self._left == 0

    def findings(self, world: World) -> Iterator[str]:
        """Yield what was changed in Runs that were forked, and what a fork has done again that it was given."""
        for client, source, count in self.forks:
            if any(not isinstance(row.records[0], Retried) for row in world.rows[source][count:]):
                yield f"fork: {client.id} was forked, and rows were added to the Run that it was forked from"
            if client.uid is None or client.uid not in world.rows:
                continue
            rows = world.rows[client.uid]
            given = set(_steps(rows[: copied_rows(rows)]))
            for entry in world.ledger.entries:
                if entry.uid == client.uid and entry.step in given:
                    yield f"fork: {client.id} was given {entry.step}, and ran it again"


def _steps(rows: Sequence[Row]) -> list[StepId]:
    """Return the Steps that have an outcome on record, in the order of their records."""
    found: dict[StepId, None] = {}
    for row in rows:
        for record in row.records:
            if isinstance(record, Settled):
                found.update((outcome.step, None) for outcome in record.outcomes)
            elif isinstance(record, ItemsSettled) and record.step not in found:
                found[record.step] = None
    return list(found)


def _may_begin(world: World, source: SimClient, rows: Sequence[Row], step: StepId) -> bool:
    started = rows[0].records[0]
    assert isinstance(started, Started)
    assert source.uid is not None
    try:
        fork_rows(rows, ForkWanted(source.id, source.uid, step, started), RunUid("0" * 32), world.loop.now())
    except UsageError:
        return False
    return True
