"""Your workflow under every crash: its own code, the real engine and Journal, virtual time, and faults.

for history in every_crash(order, 250, str(ledger)):
    assert history.result() == "charged 250"

Each history runs the workflow once from its start to its answer, and breaks another call on the way: the engine dies
before or after a commit, a Sandbox dies before or after a body, a reply is lost, the disk is full. What weftrun
promises is checked after each; what your effects promise is yours to check in the loop.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from weftrun.model.errors import UsageError
from weftrun.model.ids import effect_key
from weftrun.model.outcomes import Failure, Status
from weftrun.model.values import Scalar
from weftrun.sdk.failure import error_of
from weftrun.sdk.function import Function
from weftrun.testing.oracles import findings
from weftrun.testing.sim.chance import Chance
from weftrun.testing.sim.faults import Faults
from weftrun.testing.sim.swarm import DrawnFaults, draw_settings
from weftrun.testing.sim.sweep import Plan, singles
from weftrun.testing.sim.world import Settings, World


@dataclass(frozen=True)
class EnteredStep:
    """A body was entered, in this history.

    Attributes:
        step: id of its Step; of a map's item with its index.
        attempt: number of the Attempt.
        key: idempotency key, as `weftrun.current().key` says it.
        engine: which engine its Sandbox belonged to, from 1; a new one comes after each crash.
    """

    step: str
    attempt: int
    key: str
    engine: int


@dataclass(frozen=True)
class History:
    """One Run of the workflow from its start to its answer.

    Attributes:
        number: counted from 0, which is the history in which nothing goes wrong.
        faults: what went wrong, in order, for people.
        status: how the Run ended.
        entered: every body that was entered, in order.
    """

    number: int
    faults: tuple[str, ...]
    status: Status
    entered: tuple[EnteredStep, ...]
    _value: Any
    _failure: Failure | None
    _journal: Path

    def result(self) -> Any:
        """Return the Run's value, or raise its error, as `Run.result` does."""
        if self._failure is not None:
            raise error_of(self._failure, run=None)
        return self._value

    def query(self, sql: str, *parameters: Scalar) -> list[tuple[Any, ...]]:
        """Return rows of the Journal's database as this history has left it: what transactions have written there.

        Only until the next history begins. `sql` is for SQLite, with a `?` for each of the parameters.
        """
        try:
            connection = apsw.Connection(str(self._journal), flags=apsw.SQLITE_OPEN_READONLY)
        except apsw.CantOpenError:
            raise UsageError(
                f"The database of history {self.number} is gone. Ask before the next history begins."
            ) from None
        try:
            return list(connection.execute(sql, parameters))
        finally:
            connection.close()

    def __str__(self) -> str:
        """Return what went wrong in it."""
        return f"history {self.number}: " + ("; ".join(self.faults) or "nothing goes wrong")


class BrokenPromise(AssertionError):
    """A history broke a promise of weftrun itself: please report it, with the text."""


def every_crash(
    workflow: Function[..., Any],
    /,
    *args: Any,
    pairs: float = 0.0,
    engines: int = 1,
    seed: int = 1,
    tables: str = "",
) -> Iterator[History]:
    """Run a workflow once for everything that can go wrong on its way, and yield each history when it has ended.

    The code between two histories is yours: check the effects and set them back. Bodies run in this process, one after
    the other, so a debugger stops in them; `timeout_s`, `body_timeout_s`, `memory_bytes_max` and `network` don't bound
    them. Waiting for a retry or a Lease takes no time, since time is simulated, but a `time.sleep` in a body does.

    Args:
        args: of the workflow, as in a start.
        pairs: share of all pairs of faults to try as well, from 0 to 1; there are some thousand even for small ones.
        engines: how many share the Journal; with 2 or more they also stand still past their Leases.
        seed: other orders of what goes on at once.
        tables: SQL that makes the tables of your transactions, said to SQLite before each history.

    Raises:
        BrokenPromise: weftrun itself broke what it promises.
    """
    chance = Chance(seed, "pairs")
    settings = Settings(engines=engines)
    with tempfile.TemporaryDirectory(prefix="weftrun-crash-") as folder:
        play = _Player(workflow, args, Path(folder), tables)
        with contextlib.closing(play):
            world = play(seed, Faults(), settings)
            yield play.history(world)
            for first in singles(world):
                bent = play(seed, Faults(first), settings)
                yield play.history(bent)
                for second in singles(bent, after=max(first)) if pairs else ():
                    if chance.happens(pairs):
                        both: Plan = {**first, **second}
                        yield play.history(play(seed, Faults(both), settings))


def random_crashes(
    workflow: Function[..., Any], /, *args: Any, seeds: Sequence[int] = range(100), tables: str = ""
) -> Iterator[History]:
    """Run a workflow once for each seed, which draws faults, limits, and how many engines there are.

    As `every_crash`, for workflows with too many calls to break each of them. A seed is always the same history.
    """
    with tempfile.TemporaryDirectory(prefix="weftrun-crash-") as folder:
        play = _Player(workflow, args, Path(folder), tables)
        with contextlib.closing(play):
            for seed in seeds:
                settings = draw_settings(Chance(seed, "settings"))
                yield play.history(play(seed, DrawnFaults(seed, settings), settings))


_WITHIN_S = 1_000_000.0
"""Virtual time in which a history must end: policies may wait for hours between two Attempts, several times."""


class _Player:
    def __init__(self, workflow: Function[..., Any], args: tuple[Any, ...], folder: Path, tables: str) -> None:
        workflow.signature.check(args, {})
        self._tables = tables
        self._world: World | None = None
        self._workflow = workflow
        self._args = args
        self._folder = folder
        self._number = -1

    def __call__(self, seed: int, faults: Faults, settings: Settings) -> World:
        """Play one history and judge it. Its database stays there until the next one, or `close`."""
        self.close()
        self._number += 1
        world = self._world = World(seed, self._folder, (), faults=faults, settings=settings)
        if self._tables:
            world.prepare(self._tables)
        client = world.start(self._workflow.run_id or "run", self._workflow, *self._args)
        world.run(_WITHIN_S)
        found = findings(world)
        if found:
            raise BrokenPromise("\n".join((*found, world.story())))
        if client.refused is not None:
            raise client.refused
        return world

    def close(self) -> None:
        """Release the last history. Idempotent."""
        world, self._world = self._world, None
        if world is not None:
            world.close()

    def history(self, world: World) -> History:
        status, value, failure = world.clients[0].answers[0]
        faults = tuple(f"{name}: {fault}" for _, name, fault in world.faults.happened)
        entered = tuple(
            EnteredStep(entry.step, entry.attempt, effect_key(entry.uid, entry.step), entry.engine)
            for entry in world.ledger.entries
        )
        return History(self._number, faults, status, entered, value, failure, world.path)
