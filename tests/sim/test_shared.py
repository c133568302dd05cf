"""Runs that several Workers share: random graphs, hosts that die, freeze and come, a bad network, a seed each."""

from __future__ import annotations

import collections
import os

import msgspec
import pytest

from weftrun.model.ids import WorkerId
from weftrun.model.records import Planned, Settled, Shown
from weftrun.model.share import ShareMessage
from weftrun.testing.sim.shared.swarm import play_seed, story
from weftrun.testing.sim.shared.world import SharedWorld

SEEDS = int(os.environ.get("WEFTRUN_SHARED_SEEDS", "150"))
FIRST = int(os.environ.get("WEFTRUN_FIRST_SEED", "0"))
"""A red seed says how to see it again: WEFTRUN_FIRST_SEED=n WEFTRUN_SHARED_SEEDS=1."""
PART = 50


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, PART))
def test_seeds(first: int) -> None:
    for seed in range(first, min(first + PART, FIRST + SEEDS)):
        world, found = play_seed(seed)
        assert not found, f"WEFTRUN_FIRST_SEED={seed} WEFTRUN_SHARED_SEEDS=1\n{story(world, found)}"
        assert world.journal.refused == 0, "by M1 to M3 nobody ever has two versions to offer"


def test_a_sync_outcome_that_was_told_before_it_was_durable() -> None:
    """A late `Took` for the answer that told it before cancelled what was owed: that it is durable now."""
    world, found = play_seed(35_634)
    assert not found, story(world, found)


def test_a_seed_is_one_history() -> None:
    for seed in range(5):
        first, _ = play_seed(seed)
        again, _ = play_seed(seed)
        assert first.journal.rows == again.journal.rows
        assert first.entries == again.entries
        assert (first.happened, first.answers) == (again.happened, again.answers)


def test_messages_can_be_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the simulator hands over in memory comes back the same from bytes, as hosts will send it."""
    send = SharedWorld.send
    encode, decode = msgspec.msgpack.Encoder().encode, msgspec.msgpack.Decoder(ShareMessage).decode
    kinds = collections.Counter[str]()

    def by_bytes(world: SharedWorld, to: WorkerId, message: ShareMessage) -> None:
        kinds[type(message).__name__] += 1
        received = decode(encode(message))
        assert received == message
        send(world, to, received)

    monkeypatch.setattr(SharedWorld, "send", by_bytes)
    for seed in range(10):
        _, found = play_seed(seed)
        assert not found
    assert kinds.keys() == {"Offer", "Took", "Answered", "PlanTold", "Over"}


def test_the_swarm_draws_what_it_should() -> None:
    """Random worlds are worth something only if plans change while Runs are under way, and everything goes wrong."""
    happened: dict[str, int] = {}
    plans: collections.Counter[int] = collections.Counter()
    endings = set()
    kinds = set()
    entered: collections.Counter[str] = collections.Counter()
    shown = told_by_others = 0
    for seed in range(80):
        world, _ = play_seed(seed)
        records = [record for row in world.journal.rows for record in row.records]
        plans[sum(isinstance(record, Planned) for record in records)] += 1
        shown += sum(isinstance(record, Shown) for record in records)
        told_by_others += sum(
            row.records[0].epoch < row.epoch
            for row in world.journal.rows
            if isinstance(row.records[-1], Settled) and len(row.records) > 1
        )
        endings |= {status for status, _, _ in world.answers}
        kinds |= {op.kind for script in world.scripts.values() for op in script.ops}
        entered.update(entry.function.label for entry in world.entries)
        for what, count in world.happened.items():
            happened[what] = happened.get(what, 0) + count
    assert kinds == {"call", "await", "skip"}
    assert endings == {"succeeded", "failed"}
    assert sum(count for made, count in plans.items() if made > 3) > 20
    assert shown > 50
    assert told_by_others > 20, "records of an older plan, written by whoever held them"
    assert {"dead", "frozen", "lost", "unknown", "lost leases", "held back", "sandboxes", "claims"} <= happened.keys()
    assert len(entered) == 18, "fifteen Functions, two children, and an async root"
