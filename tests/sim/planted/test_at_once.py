"""Bugs planted where Attempts share a Sandbox: each is found where the Sandbox is lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.machines.worker.state import Seen
from weftrun.testing.sim.at_once import entered_again
from weftrun.testing.sim.faults import Fault
from weftrun.testing.sim.guest import ScriptedGuest
from weftrun.testing.sim.plans import FUNCTIONS, wired
from weftrun.testing.sim.plans_model import BodyPlan, Op
from weftrun.testing.sim.sweep import Scenario, play
from weftrun.testing.sim.world import Settings, World

Plant = Callable[[pytest.MonkeyPatch], None]


def an_entered_neighbour_is_taken_for_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the slot that was entered first is looked at when a Sandbox is gone."""

    def first(self, no, index):
        return next((slot for slot in self.slots[:1] if (slot.batch, slot.index) == (no, index)), None)

    monkeypatch.setattr(Seen, "slot", first)


def a_slot_is_left_before_the_outcome_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Sandbox says that an Attempt is over before it has told how."""
    tell = ScriptedGuest._tell_one

    def early(self, batch, index, attempt):
        from msgspec.structs import replace  # noqa: PLC0415

        slots = tuple(slot for slot in self.page.slots if (slot.batch, slot.index) != (batch.no, index))
        self.page = replace(self.page, slots=slots)
        tell(self, batch, index, attempt)

    monkeypatch.setattr(ScriptedGuest, "_tell_one", early)


def texts_of_lost_sandboxes(folder: Path) -> set[str]:
    """Play Runs whose Steps share a Sandbox, which is lost at each point at which an Attempt may have left its body."""

    def starts(world: World) -> None:
        for number in range(4):  # the others go on when one of them fails
            world.start(f"run-{number}", wired, BodyPlan((Op("call", "beside_once"),), (0,)))

    beside = Scenario("beside", starts, FUNCTIONS, Settings(sandboxes_max=1))
    texts: set[str] = set()
    for seed in (1, 2):
        points = play(beside, seed, {}, folder)[0].faults.points
        for point in (number for number, name in enumerate(points) if name in ("guest.leave", "guest.tell")):
            world, broken = play(beside, seed, {point: Fault.DIE}, folder)
            texts.update(broken.findings if broken is not None else ())
            texts.update(entered_again(world.ledger.entries))
    return texts


@pytest.mark.parametrize(
    "plant", [an_entered_neighbour_is_taken_for_not_entered, a_slot_is_left_before_the_outcome_is_told]
)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert texts_of_lost_sandboxes(folder) == set()
    plant(monkeypatch)
    texts = texts_of_lost_sandboxes(folder)
    assert any("may be once" in text for text in texts), sorted(texts)[:10]
