"""Timers and signals in simulated worlds, and bugs planted into them: each is found by the swarm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from weftrun.adapters.sqlite.statements import SQL
from weftrun.machines.run import attempts, awaiting, machine, recorded
from weftrun.model.records import Received, Settled
from weftrun.runtime.engine import EngineCore
from weftrun.testing.sim.scenarios import SCENARIOS
from weftrun.testing.sim.swarm import draw_world, play_seed
from weftrun.testing.sim.sweep import play, sweep

SEEDS = 150


def _waiting_seeds(folder: Path) -> list[int]:
    return [seed for seed in range(SEEDS) if any(client.sends for client in draw_world(seed, folder).clients)]


def test_the_swarm_waits(folder: Path) -> None:
    causes: list[str] = []
    suspended = 0
    for seed in _waiting_seeds(folder)[:25]:
        world, broken = play_seed(seed, folder)
        assert broken is None, broken
        records = [record for rows in world.rows.values() for row in rows for record in row.records]
        causes += ["received" for record in records if isinstance(record, Received)]
        causes += [o.cause for record in records if isinstance(record, Settled) for o in record.outcomes]
        suspended += world.faults.points.count("journal.suspend")
    counts = {cause: causes.count(cause) for cause in ("received", "signal", "timer")}
    assert counts["received"] == counts["signal"] > 5, counts
    assert counts["timer"] > 20, counts
    assert suspended > 5


def a_signal_that_was_taken_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a crash it is taken once more."""
    fold = recorded.Recorded._fold_life

    def forgets(self, record):
        if not isinstance(record, Received):
            fold(self, record)

    monkeypatch.setattr(recorded.Recorded, "_fold_life", forgets)
    monkeypatch.setitem(SQL, "drop_message", "SELECT ?1")


def the_last_signal_is_taken_first(monkeypatch: pytest.MonkeyPatch) -> None:
    came = awaiting.signal_came

    def reversed_(run, signal):
        signals = run.signals.get(signal.name)
        came(run, signal)
        if signals and signals is run.signals.get(signal.name):
            signals.rotate(1)

    monkeypatch.setattr(machine, "signal_came", reversed_)


def more_is_dropped_than_was_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that waits in inboxes goes with the first signal that was taken."""
    monkeypatch.setitem(SQL, "drop_message", "DELETE FROM inbox WHERE kind = 'signal' AND ?1 = ?1")


def nobody_looks_before_a_time_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait ends in vain although its signal lies in the inbox."""
    monkeypatch.setattr(EngineCore, "time_comes", lambda _self, then: then())


def a_wait_is_longer_after_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it had begun anew."""
    due_at = awaiting.due_at

    def later(run, step):
        due = due_at(run, step)
        return due if due is None or not run.recorded.seq else 2 * due - step.called_at

    monkeypatch.setattr(awaiting, "due_at", later)


def a_wait_ends_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    due_at = awaiting.due_at
    monkeypatch.setattr(awaiting, "due_at", lambda run, step: (due_at(run, step) or 0.0) - 0.04)


def nobody_is_told_that_a_time_came(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the kind: a timer that nobody is told of never ends."""
    time_came = attempts.time_came

    def deaf(run):
        run.due = [entry for entry in run.due if run.steps[entry[1]].function.name != "weftrun:sleep"]
        time_came(run)

    monkeypatch.setattr(machine, "time_came", deaf)


(LISTENING,) = (scenario for scenario in SCENARIOS if scenario.name == "listening")


def test_a_run_that_listens_is_let_go_and_takes_each_signal_once(folder: Path) -> None:
    world, broken = play(LISTENING, 1, {}, folder)
    assert broken is None, broken
    ((_, rows),) = world.rows.items()
    taken = [record for row in rows for record in row.records if isinstance(record, Received)]
    assert [(record.step, record.message[-1]) for record in taken] == [
        ("signal:go[0]", "1"),
        ("signal:go[1]", "3"),
        ("signal:stop[0]", "2"),
    ]
    assert world.faults.points.count("journal.suspend") >= 3


@pytest.mark.parametrize(
    ("patch", "says", "swarms"),
    [
        (a_signal_that_was_taken_is_forgotten, "was delivered", False),
        (the_last_signal_is_taken_first, "not in order", True),
        (more_is_dropped_than_was_taken, "ended in vain", False),
        (nobody_looks_before_a_time_comes, "ended in vain", True),
        (a_wait_is_longer_after_a_crash, "after its time", False),
        (a_wait_ends_too_early, "before its time", True),
        (nobody_is_told_that_a_time_came, "nothing would end its wait", True),
    ],
)
def test_a_planted_bug_is_found(
    folder: Path, monkeypatch: pytest.MonkeyPatch, patch: Callable[[pytest.MonkeyPatch], None], says: str, swarms: bool
) -> None:
    seeds = _waiting_seeds(folder) if swarms else []
    patch(monkeypatch)
    texts: list[str] = []
    histories = (play_seed(seed, folder)[1] for seed in seeds) if swarms else sweep(LISTENING, folder)
    for broken in histories:
        texts += broken.findings if broken is not None else ()
        if any(says in text for text in texts):
            return
    raise AssertionError(sorted(texts)[:10])
