"""Runs that only wait, in the simulator: they are suspended, and what would keep one from coming back is found."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.journal import SqliteJournal
from weftrun.adapters.sqlite.statements import SQL
from weftrun.testing.sim.scenarios import SCENARIOS
from weftrun.testing.sim.swarm import play_seed
from weftrun.testing.sim.sweep import play

(LETS_GO,) = (scenario for scenario in SCENARIOS if scenario.name == "suspended")


def test_runs_are_suspended(folder: Path) -> None:
    world, broken = play(LETS_GO, 1, {}, folder)
    assert broken is None, broken
    assert world.faults.points.count("journal.suspend") == 2


@pytest.mark.sweep
def test_the_swarm_lets_runs_go(folder: Path) -> None:
    worlds = [play_seed(seed, folder)[0] for seed in range(12)]
    assert sum("journal.suspend" in world.faults.points for world in worlds) >= 2


def a_message_wakes_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SQL, "wake", "SELECT ?1, ?2, ?3")


def nobody_reads_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    claim, inbox = SqliteJournal.claim, SqliteJournal.inbox
    claimed: list[object] = []

    def claims(self, uids):
        claimed.append(self)
        return claim(self, uids)

    monkeypatch.setattr(SqliteJournal, "claim", claims)
    monkeypatch.setattr(SqliteJournal, "inbox", lambda self: [] if claimed and claimed.pop() else inbox(self))


@pytest.mark.parametrize("patch", [a_message_wakes_nobody, nobody_reads_the_message])
def test_what_would_leave_one_asleep_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, patch: Callable[[pytest.MonkeyPatch], None]
) -> None:
    patch(monkeypatch)
    _, broken = play(LETS_GO, 1, {}, folder)
    assert broken is not None
    assert "is not done" in str(broken.findings)
