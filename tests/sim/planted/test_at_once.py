"""Bugs planted where Attempts share a Sandbox: the swarm finds each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sweeping import shared

from weftrun.machines.worker.state import Seen
from weftrun.testing.sim.guest import ScriptedGuest
from weftrun.testing.sim.swarm import play_seed

Plant = Callable[[pytest.MonkeyPatch], None]


def an_entered_neighbour_is_taken_for_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the slot that was entered first is looked at when a Sandbox is gone."""

    def first(self, no, index):
        return next((slot for slot in self.slots[:1] if (slot.batch, slot.index) == (no, index)), None)

    monkeypatch.setattr(Seen, "slot", first)


def a_slot_is_left_before_the_outcome_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Sandbox says that an Attempt is over before it has told how."""
    tell = ScriptedGuest._tell_one

    def early(self, no, index, attempt):
        from msgspec.structs import replace  # noqa: PLC0415

        slots = tuple(slot for slot in self.page.slots if (slot.batch, slot.index) != (no, index))
        self.page = replace(self.page, slots=slots)
        tell(self, no, index, attempt)

    monkeypatch.setattr(ScriptedGuest, "_tell_one", early)


PLANTS: tuple[tuple[Plant, int], ...] = (  # each with the seed from which on it is looked for
    (an_entered_neighbour_is_taken_for_not_entered, 120),
    (a_slot_is_left_before_the_outcome_is_told, 0),
)


@pytest.mark.parametrize("planted", shared(PLANTS), ids=lambda planted: planted[0].__name__)
def test_a_planted_bug_is_found(planted: tuple[Plant, int], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant, first = planted
    plant(monkeypatch)
    texts: set[str] = set()
    for seed in range(first, first + 400):
        _, broken = play_seed(seed, folder, sharing=True)
        texts.update(broken.findings if broken is not None else ())
        if any("may be once" in text for text in texts):
            return
    pytest.fail(f"nothing says that an Attempt was entered twice: {sorted(texts)[:10]}")
