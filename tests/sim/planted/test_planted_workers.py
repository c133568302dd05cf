"""Bugs planted in the machines of shared Runs, or in what is around them: each is found, or the simulator is the bug.

A plant says within how many seeds it is found, and by what. Without one nothing is found in these seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from weftrun.machines.checkpoint import may_lack_record
from weftrun.machines.share import bodies, holding, keeping, steps, telling
from weftrun.machines.share.part import PartMachine
from weftrun.model.share import Answered, AppendCame, Heard, Offer, Outcome
from weftrun.testing.sim.shared.host import Host
from weftrun.testing.sim.shared.journal import SharedJournal
from weftrun.testing.sim.shared.swarm import play_seed
from weftrun.testing.sim.shared.world import SharedWorld

Patch = Callable[[pytest.MonkeyPatch], None]


def a_message_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost wake-up: what was said is taken to have come."""

    def due(part, owed, again):
        due = [key for key, at in (owed or {}).items() if at <= part.now]
        (owed or {}).update(dict.fromkeys(due, math.inf))
        return due

    monkeypatch.setattr(telling, "_due", due)


def a_gate_is_not_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lost wake-up: a commit opens gates only where an outcome becomes readable."""
    fix = keeping.fix

    def deaf(part, names):
        waiting, part.here = part.here, {}
        fix(part, names)
        part.here = waiting

    monkeypatch.setattr(keeping, "fix", deaf)


def a_record_overtakes_what_it_rests_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Overtaking record: what is wanted is written, and nothing with it (C1)."""
    monkeypatch.setattr(keeping, "tail", _alone)


def _alone(part, names):
    return [part.held[name] for name in names if name in part.held and name not in part.fixed]


def an_offer_has_no_tail(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tail: an outcome travels alone (M1)."""
    offer = telling._offer

    def bare(part, epoch, names, nodes):
        told = offer(part, epoch, names, nodes)
        return replace(told, held=tuple(held for held in told.held if held.name in names))

    monkeypatch.setattr(telling, "_offer", bare)


def only_data_ancestors_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call rests on the values that it takes, not on what its body had been shown."""
    monkeypatch.setattr(bodies, "_seen", lambda node, here, inside: here.rests)


def a_record_left_out_is_promoted_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Late promotion: a visible Attempt has what policy leaves out written, but does not wait for that (G-a)."""

    def gated(part, here):
        needed = telling.tail(part, here.rests)
        part.wanted.update(held.name for held in needed)
        return any(not _may_lack(part, held) for held in needed)

    monkeypatch.setattr(steps, "_is_gated", gated)


def _may_lack(part, held):
    node = part.nodes.get(held.name[0])
    return held.outcome is not None and node is not None and may_lack_record(node.function)


def a_lost_worker_keeps_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lost its session begins the next one with what it held, as if it had been in all plans."""
    lose = SharedWorld.lose

    def keeping_all(world, host):
        if not host.alive or host.worker not in world.buried:
            lose(world, host)
            return
        host.die()
        old = host.part.state
        again = world.hosts[world.add_host()].part.state
        again.held, again.nodes, again.order, again.fixed = old.held, old.nodes, old.order, old.fixed

    monkeypatch.setattr(SharedWorld, "lose", keeping_all)


def a_version_that_is_offered_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two versions in one Worker: survivors are not asked, and the version that came last is used (M2)."""
    survivors_are_not_asked(monkeypatch)
    take = telling.take

    def last(part, held, *, fixed):
        known = part.held.get(held.name)
        if known is not None and known.stamp != held.stamp and held.name not in part.fixed:
            part.held[held.name] = held
            telling.spread(part, held.name[0])
        return take(part, held, fixed=fixed)

    monkeypatch.setattr("weftrun.machines.share.part.take", last)


def bodies_are_entered_after_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dispatch after lease: a Sandbox does not look until when it may enter (O3)."""
    monkeypatch.setattr(Host, "may_enter", lambda host: True)


def a_lease_is_renewed_after_burial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Worker that is taken for dead renews its Lease (O1)."""
    beat = Host.beat

    def unaware(host):
        buried, host.world.buried = host.world.buried, set()
        beat(host)
        host.world.buried |= buried

    monkeypatch.setattr(Host, "beat", unaware)


def survivors_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new home counts from the Journal alone (M3, Loss)."""
    monkeypatch.setattr(steps, "is_clear", lambda part, step: True)


def survivors_tell_only_what_is_not_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has become durable since the plan is told by nobody, though the new home may have read the rows before."""
    say = telling.say

    def forgetful(part):
        part.fresh.clear()
        say(part)

    monkeypatch.setattr("weftrun.machines.share.part.say", forgetful)


def an_old_epoch_may_append(monkeypatch: pytest.MonkeyPatch) -> None:
    """No fencing: the Journal does not compare epochs (O2)."""
    append = SharedJournal.append
    monkeypatch.setattr(SharedJournal, "append", lambda self, at, epoch, held: append(self, at, self.epoch, held))


def messages_of_an_old_plan_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part takes what was said under another plan."""
    hear = PartMachine._hear

    def open_minded(self, message):
        if isinstance(message, Offer | Answered) and message.epoch < self.state.epoch:
            message = replace(message, epoch=self.state.epoch)
        hear(self, message)

    monkeypatch.setattr(PartMachine, "_hear", open_minded)


def an_outcome_that_may_not_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new home that was told of a `sync` outcome runs the Step again, since nobody may read it yet."""
    put = holding.put

    def careless(part, held):
        here = part.here.get(held.name[0])
        put(part, held)
        if held.name[1] == 0 and here is not None and part.outcome(held.name[0]) is None:
            part.here[held.name[0]] = here

    monkeypatch.setattr(telling, "put", careless)


def the_order_is_not_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is entered again is shown what came first here, not what it was shown before (B2)."""
    show = bodies._show

    def fresh(part, node, here, inside):
        known = part.held.pop((node.id, inside.shown + 1), None)
        show(part, node, here, inside)
        if known is not None:
            part.held[known.name] = known

    monkeypatch.setattr(bodies, "_show", fresh)


def what_is_not_known_is_taken_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """An append of which nothing is known counts as committed."""
    handle = PartMachine.handle

    def hopeful(self, event):
        if isinstance(event, AppendCame) and event.outcome is Outcome.UNKNOWN:
            event = replace(event, outcome=Outcome.COMMITTED)
        return handle(self, event)

    monkeypatch.setattr(PartMachine, "handle", hopeful)


def bytes_are_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record is written before the bytes that it names (C2)."""
    monkeypatch.setattr(keeping, "_blobs", lambda held: iter(()))


def a_plan_is_never_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner does not say that a Worker is dead (M3): what was at home there stands still."""
    tell = SharedWorld._tell_owner
    monkeypatch.setattr(
        SharedWorld, "_tell_owner", lambda self, owner, event: None if _is_death(event) else tell(self, owner, event)
    )


def _is_death(event):
    return type(event).__name__ == "WorkerGone"


def survivors_answer_with_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer says only that somebody goes by the plan, not what it holds (M3)."""
    handle = PartMachine.handle

    def deaf(self, event):
        if isinstance(event, Heard) and isinstance(event.message, Answered):
            event = replace(event, message=replace(event.message, held=()))
        return handle(self, event)

    monkeypatch.setattr(PartMachine, "handle", deaf)


@dataclass(frozen=True)
class Plant:
    patch: Patch
    found: str
    seeds: int


PLANTS = [
    Plant(a_message_is_said_once, "liveness", 40),
    Plant(a_gate_is_not_looked_at_again, "liveness", 40),
    Plant(a_record_overtakes_what_it_rests_on, "C1", 20),
    Plant(an_offer_has_no_tail, "C1", 20),
    Plant(only_data_ancestors_count, "C1", 20),
    Plant(only_data_ancestors_count, "G-a", 40),
    Plant(a_record_left_out_is_promoted_late, "G-a", 20),
    Plant(a_lost_worker_keeps_what_it_held, "liveness", 300),
    Plant(a_version_that_is_offered_is_taken, "M2", 300),
    Plant(bodies_are_entered_after_the_lease, "once", 200),
    Plant(a_lease_is_renewed_after_burial, "once", 200),
    Plant(survivors_are_not_asked, "M2", 200),
    Plant(survivors_tell_only_what_is_not_durable, "once", 400),
    Plant(an_old_epoch_may_append, "once", 200),
    Plant(messages_of_an_old_plan_count, "single", 400),
    Plant(an_outcome_that_may_not_be_read_is_none, "once", 200),
    Plant(the_order_is_not_replayed, "single value", 200),
    Plant(what_is_not_known_is_taken_for_done, "C1", 60),
    Plant(bytes_are_not_waited_for, "C2", 20),
    Plant(a_plan_is_never_made_again, "liveness", 20),
    Plant(survivors_answer_with_nothing, "M2", 300),
]


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.patch.__name__}, by {plant.found or 'something'}")
def test_a_planted_bug_is_found(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    for seed in range(plant.seeds):
        _, found = play_seed(seed)
        if any(text.startswith(plant.found) for text in found):
            return
    pytest.fail(f"{plant.patch.__name__} was not found by {plant.found} in {plant.seeds} seeds")
