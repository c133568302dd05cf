"""A cancel lets the bodies that have done what can be undone undo it, at the same place in every replay."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import FUNCTIONS, QUIET, SEEN, STRICT, UID, RunDesk, call, failure

from weftrun.machines.run import bodies, done_after_failure
from weftrun.model.events import BodyMade, CancelCame
from weftrun.model.graph import Call
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.records import CanUndo, Undoing, Undone
from weftrun.testing.closure import closure_violations

CANCELLED = Failure(Reason.CANCELLED, "RunCancelled", "the Run was cancelled")


def makes(desk: RunDesk, *calls: Call, awaits: tuple[int, ...], undoable: tuple[int, ...] = ()) -> None:
    body = desk.bodies["watches"]
    desk.tell(BodyMade(desk.now, body.step, body.attempt, FUNCTIONS, calls, (), awaits, undoable))


def booked(desk: RunDesk) -> None:
    """The body books, which can be undone, and then waits for something else."""
    makes(desk, call(SEEN, digest="book"), awaits=(0,), undoable=(0,))
    if "seen[0]" in desk.sent:
        desk.ends("seen[0]")
        desk.commits()
    makes(desk, call(QUIET, digest="wait"), awaits=(1,))


def begun() -> RunDesk:
    desk = RunDesk()
    desk.commits()
    booked(desk)
    return desk


def kinds(desk: RunDesk) -> list[str]:
    found = [type(record).__name__ for row in desk.rows for record in row.records]
    return [name for name in found if name in ("CanUndo", "Undoing", "Undone", "CancelAsked", "Ended")]


def cancel(desk: RunDesk, *, force: bool = False) -> None:
    desk.tell(CancelCame(desk.now, f"cancel-{force}", force))


def undo(desk: RunDesk) -> None:
    assert desk.delivered[-1].call == -1
    makes(desk, call(STRICT, digest="undo"), awaits=(2,))


def test_a_cancel_waits_until_the_body_has_undone_it() -> None:
    desk = begun()
    cancel(desk)
    assert (kinds(desk), desk.end) == (["CanUndo", "CancelAsked", "Undoing"], None)
    assert desk.revoked, "what runs and can't be undone is ended"
    undo(desk)
    desk.commits()
    desk.ends("strict[0]")
    desk.commits()
    desk.returns("watches", fails=CANCELLED)
    desk.commits()
    assert kinds(desk) == ["CanUndo", "CancelAsked", "Undoing", "Undone", "Ended"]
    assert desk.end is not None
    assert desk.end.status == "cancelled"
    assert [step for step, _, _ in done_after_failure(desk.rows)] == ["strict[0]"]
    assert closure_violations({UID: desk.rows}) == []


@pytest.mark.parametrize("undone", [False, True])
def test_a_replay_is_told_at_the_same_place(undone: bool) -> None:
    """Whatever had settled since: it is not shown to the body, which did not see it the first time."""
    desk = begun()
    cancel(desk)
    undo(desk)
    desk.commits()
    if undone:
        desk.ends("strict[0]")
        desk.commits()
    desk.dies()
    makes(desk, call(SEEN, digest="book"), awaits=(0,), undoable=(0,))
    assert [deliver.call for deliver in desk.delivered] == [0]
    makes(desk, call(QUIET, digest="wait"), awaits=(1,))
    assert "quiet[0]" not in desk.sent, "what was cancelled is not run again"
    assert [deliver.call for deliver in desk.delivered] == [0, -1]
    undo(desk)
    assert ("strict[0]" in desk.sent) is not undone
    assert closure_violations({UID: desk.rows}) == []


def test_what_undoes_waits_until_it_is_durable_that_it_does() -> None:
    desk = begun()
    cancel(desk)
    makes(desk, call(SEEN, 1, digest="undo"), awaits=(2,))
    assert "seen[1]" not in desk.sent
    desk.commits()
    assert "seen[1]" in desk.sent


def test_a_planted_bug_undoes_what_no_record_tells_of(monkeypatch: pytest.MonkeyPatch) -> None:
    told = bodies.may_be_shown

    def early(run: object, body: object, settled: object) -> object:
        before = body.observed_row  # type: ignore[attr-defined]
        found = told(run, body, settled)  # type: ignore[arg-type]
        body.observed_row = before  # type: ignore[attr-defined]
        return found

    monkeypatch.setattr(bodies, "may_be_shown", early)
    desk = begun()
    cancel(desk)
    makes(desk, call(SEEN, 1, digest="undo"), awaits=(2,))
    assert "seen[1]" in desk.sent


def test_without_anything_to_undo_or_by_force_it_ends_at_once() -> None:
    desk = RunDesk()
    desk.commits()
    makes(desk, call(SEEN, digest="book"), awaits=(0,), undoable=(0,))
    cancel(desk)
    assert kinds(desk) == ["CancelAsked", "Ended"]
    desk = begun()
    cancel(desk, force=True)
    assert kinds(desk) == ["CanUndo", "CancelAsked", "Ended"]
    desk = begun()
    cancel(desk)
    undo(desk)
    cancel(desk, force=True)
    assert kinds(desk) == ["CanUndo", "CancelAsked", "Undoing", "CancelAsked", "Ended"]
    assert closure_violations({UID: desk.rows}) == []


def test_a_cancel_comes_while_the_body_goes_on() -> None:
    """It is told when it waits again; if it ends before that, the cancel came too late."""
    desk = RunDesk()
    desk.commits()
    makes(desk, call(SEEN, digest="book"), awaits=(0,), undoable=(0,))
    desk.ends("seen[0]")
    desk.commits()
    cancel(desk)
    assert kinds(desk) == ["CanUndo"]
    desk.returns("watches")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_a_body_whose_time_is_up_is_entered_again_to_undo() -> None:
    desk = begun()
    desk.ends("quiet[0]")
    desk.commits()
    late = failure(Reason.TIMEOUT)
    desk.returns("watches", fails=late)
    assert kinds(desk) == ["CanUndo", "Undoing"]
    makes(desk, call(SEEN, digest="book"), awaits=(0,), undoable=(0,))
    makes(desk, call(QUIET, digest="wait"), awaits=(1,))
    assert desk.delivered[-1].call == -1, "not the outcome after which it went on for too long"
    makes(desk, call(STRICT, digest="undo"), awaits=(2,))
    desk.commits()
    desk.ends("strict[0]")
    desk.returns("watches", fails=late)
    desk.commits()
    assert desk.end is not None
    assert (desk.end.status, kinds(desk)[-2:]) == ("failed", ["Undone", "Ended"])
    assert closure_violations({UID: desk.rows}) == []


def test_another_life_may_undo_again() -> None:
    desk = begun()
    cancel(desk)
    undo(desk)
    desk.commits()
    desk.ends("strict[0]")
    desk.returns("watches", fails=CANCELLED)
    desk.commits()
    desk.retries()
    assert desk.machine.may_undo
    booked(desk)
    assert desk.delivered[-1].call == 0, "it is not told to undo what it was told before"
    recorded = desk.machine.state.recorded
    assert (recorded.undoing, recorded.undone) == ({}, set())
    assert {CanUndo, Undoing, Undone} <= {type(record) for row in desk.rows for record in row.records}
