"""What a Worker is given to do, with the Objects in it: those that others keep are fetched before it is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from weftrun.adapters.hosts.distant_peers import DistantPeers
from weftrun.model import hosts as m
from weftrun.model.commands import Arm, Invoke, InvokeItems, Revoke, WorkCommand
from weftrun.model.ids import ObjectId, WorkerId
from weftrun.model.values import Data, Object
from weftrun.model.visiting import change_data, objects_in
from weftrun.model.work import Came
from weftrun.ports.objects import Objects
from weftrun.ports.worker import Worker


class ArrivingWork:
    """Hands commands to a Worker when all Objects in them are here.

    The commands of a Run keep their order, but that what needs no Object passes by Invocations that wait: a Step is
    armed before what sets it off is invoked.

    Args:
        me: number of the Worker.
        peers: other Workers that keep Objects; None where all Objects come along.
        lacks: called with an Object that can't be fetched, by the engine's number: `bring` is to be called with it.
        came: called with each Object that was fetched.
    """

    def __init__(
        self, objects: Objects, worker: Worker, me: WorkerId, peers: DistantPeers | None,
        lacks: Callable[[ObjectId], None], came: Callable[[Came], None],
    ) -> None:  # fmt: skip
        self._objects = objects
        self._worker = worker
        self._me = me
        self._peers = peers
        self._lacks = lacks
        self._tell_came = came
        self._known: dict[ObjectId, ObjectId] = {}
        self._coming: set[ObjectId] = set()
        self._waiting: dict[int, list[tuple[WorkCommand, set[ObjectId]]]] = {}

    @property
    def waits(self) -> bool:
        """Whether something waits for Objects."""
        return bool(self._waiting)

    # ------------------------------------------------------------------ Objects

    def bring(self, objects: Sequence[Object], descriptors: Sequence[int]) -> None:
        """Take Objects whose descriptors came along; one that nobody wants any more is released."""
        for obj, descriptor in zip(objects, descriptors, strict=True):
            here = self._objects.adopt(descriptor, obj.nbytes)
            self._came(obj.oid, here.oid)

    def _came(self, oid: ObjectId, here: ObjectId) -> None:
        self._known[oid] = here
        if oid in self._coming:
            self._coming.discard(oid)
            self._look_again(oid)

    def _expect(self, run: int, each: m.KeptElsewhere) -> None:
        oid, kept = each.obj.oid, Object(each.number, each.obj.nbytes)
        if each.worker == self._me:
            self._objects.hold(kept.oid)
            self._known[oid] = kept.oid
            return
        self._coming.add(oid)

        def done(found: Object | None, began_at: float, at: float) -> None:
            if found is not None:
                self._tell_came(Came(run, each.step, self._me, each.worker, found.nbytes, began_at, at))
            if oid not in self._coming:
                if found is not None:
                    self._objects.release(found.oid)  # it was forgotten meanwhile
            elif found is None:
                self._lacks(oid)
            else:
                self._came(oid, found.oid)

        if self._peers is None:
            self._lacks(oid)
        else:
            self._peers.fetch(each.worker, kept, done)

    def forget(self, objects: Sequence[ObjectId]) -> None:
        """The engine needs these Objects no more."""
        for oid in objects:
            self._coming.discard(oid)
            if (here := self._known.pop(oid, None)) is not None:
                self._objects.release(here)

    # ------------------------------------------------------------------ commands

    def take(self, message: m.Work, descriptors: Sequence[int]) -> None:
        """Do what the engine says, now or when all it takes is here."""
        self.bring(message.objects, descriptors)
        for each in message.elsewhere:
            self._expect(message.run, each)
        run, command = message.run, message.command
        if not self._coming and run not in self._waiting:
            self._do(run, command)
            return
        waiting = self._waiting.setdefault(run, [])
        if isinstance(command, Revoke):
            waiting[:] = [(kept, lacks) for each, lacks in waiting if (kept := _without(each, command.steps))]
        waiting.append((command, {obj.oid for obj in objects_in(command)} & self._coming))
        self._go_on(run)

    def _look_again(self, oid: ObjectId) -> None:
        for run, waiting in list(self._waiting.items()):
            for _, lacks in waiting:
                lacks.discard(oid)
            self._go_on(run)

    def _go_on(self, run: int) -> None:
        """Do what can be done of a Run: all that lacks nothing and stands behind no Step that is still to be armed."""
        waiting, rest, blocked = self._waiting.pop(run), [], False
        for command, lacks in waiting:
            if lacks or blocked:
                blocked = blocked or isinstance(command, Arm)
                rest.append((command, lacks))
            else:
                self._do(run, command)
        if rest:
            self._waiting[run] = rest

    def _do(self, run: int, command: WorkCommand) -> None:
        self._worker.work(run, change_data(command, self._here))

    def _here(self, data: Data) -> Data:
        return Object(self._known[data.oid], data.nbytes) if isinstance(data, Object) else data

    def drop(self, run: int) -> None:
        """A Run is over, or given up."""
        self._waiting.pop(run, None)

    def drop_all(self) -> None:
        """Nothing that was given so far is to be entered."""
        self._waiting.clear()


def _without(command: WorkCommand, steps: Sequence[int]) -> WorkCommand | None:
    """Return a command less what it says of some Steps; None where nothing is left."""
    match command:
        case InvokeItems():
            return None if command.step in steps else command
        case Invoke():
            kept = tuple(invocation for invocation in command.invocations if invocation.step not in steps)
            return replace(command, invocations=kept) if kept else None
    return command
