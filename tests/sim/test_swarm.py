"""Random workflows, faults and limits, a seed each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weftrun.model.records import Abandoned, Unfit
from weftrun.testing.oracles import lives_of
from weftrun.testing.sim.faults import KINDS, OF_OPERATORS, Fault
from weftrun.testing.sim.plans_model import BodyPlan
from weftrun.testing.sim.swarm import DrawnFaults, draw_world, play_seed
from weftrun.testing.sim.telling import TELLERS
from weftrun.testing.sim.transacting import WRITERS
from weftrun.testing.sim.undone import done, done_slowly, undo

SEEDS = int(os.environ.get("WEFTRUN_SEEDS", "25"))
FIRST = int(os.environ.get("WEFTRUN_FIRST_SEED", "0"))
"""A red seed says how to see it again: WEFTRUN_FIRST_SEED=n WEFTRUN_SEEDS=1."""
SWEPT = 2_000
PART = 25


def play(seeds: range, folder: Path) -> None:
    for seed in seeds:
        _, broken = play_seed(seed, folder)
        assert broken is None, f"WEFTRUN_FIRST_SEED={seed} WEFTRUN_SEEDS=1\n{broken}"


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PART))
def test_seeds(first: int, folder: Path) -> None:
    play(range(first, min(first + PART, FIRST + SEEDS)), folder)


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, SWEPT, PART))
def test_seeds_of_which_half_have_workers(first: int, folder: Path) -> None:
    for seed in range(first, first + PART):
        workers = seed % 2 == 1
        _, broken = play_seed(seed, folder, workers=workers)
        assert broken is None, f"play_seed({seed}, workers={workers})\n{broken}"


def test_a_seed_is_one_history(folder: Path) -> None:
    for seed in range(5):
        first, _ = play_seed(seed, folder)
        again, _ = play_seed(seed, folder)
        assert first.loop.digest == again.loop.digest
        assert first.faults.happened == again.faults.happened


def test_without_effects_nothing_is_done_outside(folder: Path) -> None:
    for seed in range(10):
        world, broken = play_seed(seed, folder, effects=False)
        assert broken is None, str(broken)
        assert not world.sinks and not world.written
        assert not {entry.function.label for entry in world.ledger.entries} & {f.spec.label for f in (*WRITERS, undo)}


@pytest.mark.sweep
def test_the_swarm_draws_what_it_should(folder: Path) -> None:
    """Random worlds are worth something only if they differ: in plans, in faults, in limits, in how Runs end."""
    kinds: set[str] = set()
    endings: set[str] = set()
    faults = set()
    depth = 0
    unkept = 0
    engines: set[int] = set()
    left_out: set[str] = set()
    entered: set[str] = set()
    delivery_statuses: set[str] = set()
    points: set[str] = set()
    sent_again = written = 0
    lives: set[int] = set()
    parked = given_up = 0

    def walk(plan: BodyPlan, level: int) -> None:
        nonlocal depth
        depth = max(depth, level)
        for op in plan.ops:
            kinds.add(op.kind)
            if op.plan is not None:
                walk(op.plan, level + 1)

    for seed in range(100):
        world, _ = play_seed(seed, folder)
        for client in world.clients:
            walk(client.args[0], 1)
            endings |= {status for status, _, _ in client.answers}
        unkept += len(world.unkept)
        engines.add(world.settings.engines)
        entered |= {entry.function.label for entry in world.ledger.entries}
        delivery_statuses |= {emitted.delivery_status.name for emitted in world.delivery_statuses.values()}
        sent_again += sum(times > 1 for sink in world.sinks.values() for times in sink.sent.values())
        written += sum(world.written.values())
        lives |= {len(lives_of(rows)) for rows in world.rows.values()}
        records = [record for rows in world.rows.values() for row in rows for record in row.records]
        parked += sum(isinstance(record, Unfit) for record in records)
        given_up += sum(isinstance(record, Abandoned) for record in records)
        points |= set(world.faults.points)
        left_out |= {row.text for uid in world.rows for row in world.trace.read(uid) if row.kind == "unrecorded"}
        faults |= {fault for _, _, fault in world.faults.happened}
    plain = {"call", "map", "over", "wired", "watched", "await", "several"}
    assert kinds == plain | {"skip", "pause", "listen", "endless"}
    assert endings == {"succeeded", "failed", "cancelled"}
    assert faults == set(Fault)
    assert engines == {1, 2, 3}
    effects = {function.spec.label for function in (*WRITERS, *TELLERS, done, done_slowly, undo)}
    assert effects - entered <= {"writes_telling"}, "which only seeds have that both write and tell"
    assert delivery_statuses == {"WAITING", "DELIVERED", "UNKNOWN", "REFUSED"}
    assert sent_again > 5 and written > 20
    # The engines of these worlds seldom commit in their loop, and only then is a Batch made ready beside a commit: the
    # scenario `beside commits` breaks each call of that.
    assert points | {"sandboxes.let"} == set(KINDS) - OF_OPERATORS
    assert unkept > 5
    assert lives >= {1, 2, 3}
    assert parked > 3 and given_up > 3
    assert len(left_out) == 3, "by `none`, deterministic or not, and by the choice of `auto`"
    assert depth == 3
    assert isinstance(draw_world(0, folder).faults, DrawnFaults)
