"""Bugs of retries and of parking, planted into the machines and the runtime: the sweep or the swarm finds each."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sim.planted.test_planted import Plant, check_found, title

from weftrun.adapters.sqlite.statements import SQL
from weftrun.machines.run import bodies, branching, lives, recorded, undoing
from weftrun.model.outcomes import Failure, Reason
from weftrun.runtime.serving import Serving
from weftrun.runtime.takeover import TakeOver


def a_success_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What succeeded runs again in the next life."""
    begin_life = recorded.begin_life

    def forgetful(known, life):
        begin_life(known, life)
        known.outcomes.clear()

    monkeypatch.setattr(recorded, "begin_life", forgetful)


def attempts_are_counted_from_one_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An Attempt of a later life has the number of an earlier one."""
    monkeypatch.setattr(lives.Lives, "used", lambda *_: 0)


def another_call_has_the_name_of_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that goes another way makes other calls under the keys of those that it made."""
    monkeypatch.setattr(branching, "_label", lambda _run, _body, _call, function: function.label)
    monkeypatch.setattr(branching, "_compare", lambda *_: None)


def code_that_does_not_fit_ends_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad deploy fails what it takes over, as it once did."""

    def fails(run, body, refused):
        failure = Failure(Reason.DIVERGED, "ReplayDiverged", str(refused), origin=body.step.id)
        run.pending_failures.append((run.root.body if refused.reason is Reason.DIVERGED else body, failure))

    monkeypatch.setattr(bodies, "_refuse", fails)


def code_is_tried_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever looks at the Journal tries a parked Run, however often it was found not to fit."""

    def eager(self, infos):
        for info in infos:
            self.take_over(info, None)

    monkeypatch.setattr(TakeOver, "adopt_parked", eager)


def every_run_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine goes on with Runs of other versions, although it was opened for its own only."""
    monkeypatch.setattr(Serving, "serves", lambda *_: True)


def signals_go_with_the_life_that_they_were_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was told to be sent and not taken is lost with a retry, as it once was."""
    monkeypatch.setitem(SQL, "drop_cancels", "DELETE FROM inbox WHERE run = ?")


def a_signal_that_did_not_fit_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Run fails with it in each life, as it once did."""
    monkeypatch.setattr(recorded, "_drop_signals", lambda _: None)


def signals_go_with_the_failure_of_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are lost before anybody may retry it."""
    monkeypatch.setitem(SQL, "drop_untaken", "DELETE FROM inbox WHERE run = ?1 AND ?2 <> ''")


def a_cancel_forgets_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends a Run at once, as it once did."""
    monkeypatch.setattr(undoing, "_pending", lambda _run: set())


def a_replay_is_told_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """A body that is to undo something is shown first whatever has settled since."""
    told = undoing.may_be_shown

    def late(run, body, settled):
        return settled or told(run, body, settled)

    monkeypatch.setattr(bodies, "may_be_shown", late)


PLANTS = (
    Plant(a_cancel_forgets_what_was_done, "were booked", scenario="booked"),
    Plant(a_replay_is_told_too_late, "booked", scenario="booked"),
    Plant(a_success_is_taken_back, "once", scenario="retried"),
    Plant(a_success_is_taken_back, "single", seeds=60, lives=True),
    Plant(attempts_are_counted_from_one_again, "settled it, but had failed", scenario="retried"),
    Plant(another_call_has_the_name_of_an_earlier_one, "single value", scenario="retried"),
    Plant(a_signal_that_did_not_fit_is_kept, "failed in two lives with the signal", scenario="reading again"),
    Plant(signals_go_with_the_life_that_they_were_sent_to, "came before its life", scenario="listening again"),
    Plant(signals_go_with_the_failure_of_a_run, "came before its life", scenario="listening again"),
    Plant(code_that_does_not_fit_ends_a_run, "ended because of its code", scenario="parked"),
    Plant(code_is_tried_again_and_again, "engines had code that does not fit", scenario="parked"),
    Plant(every_run_is_served, "0 engines had code that does not fit", scenario="side by side"),
)


@pytest.mark.parametrize("plant", PLANTS, ids=title)
def test_a_planted_bug_is_found(plant: Plant, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant.patch(monkeypatch)
    check_found(plant, folder)
