"""Retention in a simulated world: Runs that have ended are deleted, and then the values that no record names."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from weftrun.model.visiting import blobs_in
from weftrun.ports.journal import Journal
from weftrun.testing.sim.actors import Actor
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.world import World


class RetentionActor(Actor[World]):
    """Deletes what has ended and nobody asks for any more, beside engines; values only where no engine is."""

    def __init__(self, chance: Chance) -> None:
        """Draw when Runs are deleted, and how long they stay."""
        self._at_s = [chance.between(0.0, chance.one_of((0.2, 2.0))) for _ in range(1 + chance.below(3))]
        self._older_than_s = chance.one_of((0.0, 0.05))
        self._forget = chance.happens(0.3)
        self._left = len(self._at_s)

    def begin(self, world: World) -> None:
        """Delete at the times that were drawn."""
        for at_s in self._at_s:
            world.loop.call_at(
                world.loop.now() + at_s, partial(world.at_console, lambda journal: self._delete(world, journal))
            )

    def _delete(self, world: World, journal: Journal) -> None:
        """Ask for all Runs to be deleted but those that are asked for again: those that go on must be left alone."""
        self._left -= 1
        going = [client for client in world.clients if not client.done]
        wanted = {client.id for client in going} | {client.fork.run for client in going if client.fork is not None}
        uids = [uid for uid, id in world.ids().items() if id not in wanted and "@" not in id]
        for uid in uids:
            world.delivery_statuses |= {emitted.key: emitted for emitted in journal.emitted(uid)}
        journal.delete_ended(uids, before=world.loop.now() - self._older_than_s, forget=self._forget)

    def is_over(self) -> bool:
        """Say whether it was done as often as was drawn."""
        return self._left == 0

    def all_ended(self, world: World) -> None:
        """Remove values that nobody names: no engine is there that may have written one to name it later."""
        named = world.blobs_named()
        for name in world.blobs.names():
            if name not in named:
                world.blobs.remove(name)

    def findings(self, world: World) -> Iterator[str]:
        """Yield what was deleted though it went on, and what is needed and gone."""
        yield from world.register.deleted_early
        self.all_ended(world)
        there = set(world.blobs.names())
        for uid, rows in world.rows.items():
            if uid not in world.register.deleted and any(blob.sha256 not in there for blob in blobs_in(rows)):
                yield f"retention: a value of {uid[:6]} is gone, which was not deleted"
