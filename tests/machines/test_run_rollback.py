"""Rollbacks (R1): an Attempt is on record before it is entered, and what it did is undone before the next one."""

from __future__ import annotations

from tests.machines.run_desk import CHARGE, NOT_RUN, QUIET, UID, WATCHES, WIRES, RunDesk, call, failure, thing

from weftrun.model.events import AttemptsEnded, CancelCame
from weftrun.model.limits import Limits
from weftrun.model.outcomes import Outcome, Reason
from weftrun.model.records import AttemptStarted, RollbackFailed
from weftrun.testing.closure import closure_violations


def charging() -> RunDesk:
    """Return a desk on which a `def` body has called `charge`, and its graph is on record."""
    desk = RunDesk(WIRES)
    desk.makes("wires", call(QUIET), call(CHARGE, 0, 0))
    desk.returns("wires", 1)
    desk.ends("quiet[0]")
    return desk


def begun(desk: RunDesk) -> list[int]:
    """Return the Attempts that were begun according to the rows, in which closure must hold."""
    assert [str(v) for v in closure_violations({UID: desk.rows}) if v.rule != "C2"] == []
    return [r.attempt for row in desk.rows for r in row.records if isinstance(r, AttemptStarted)]


def sent(desk: RunDesk) -> tuple[int, int] | None:
    """Return Attempt, and which one it undoes, of what was sent of `charge[0]` last and has not ended."""
    invocation = desk.sent.get("charge[0]")
    return (invocation.attempt, invocation.undoes) if invocation is not None else None


def test_an_attempt_is_entered_when_its_record_is_durable() -> None:
    desk = charging()
    assert begun(desk) == [1]
    assert sent(desk) is None
    desk.commits()
    assert sent(desk) == (1, 0)
    desk.ends("charge[0]")
    desk.commits()
    assert begun(desk) == [1]
    assert desk.end is not None
    assert desk.end.status == "succeeded"


def test_a_failed_attempt_is_undone_before_the_next() -> None:
    desk = charging()
    desk.commits()
    desk.ends(bad=["charge[0]"])
    desk.time_comes()
    assert sent(desk) is None  # that it was abandoned is not durable yet
    desk.commits()
    assert sent(desk) == (1, 1)
    desk.ends("charge[0]")
    assert (begun(desk), sent(desk)) == ([1, 2], None)
    desk.commits()
    assert sent(desk) == (2, 0)


def test_after_a_crash_it_is_undone_first() -> None:
    desk = charging()
    desk.commits()
    assert sent(desk) == (1, 0)
    desk.dies()
    assert sent(desk) == (1, 1)
    desk.dies()  # in the middle of the rollback, which is run again
    assert sent(desk) == (1, 1)
    desk.ends("charge[0]")
    desk.commits()
    assert sent(desk) == (1, 0)
    assert begun(desk) == [1, 1]


def test_before_its_record_nothing_is_undone() -> None:
    desk = charging()
    desk.committed = len(desk.rows) - 1
    desk.dies()
    desk.ends("quiet[0]")
    assert sent(desk) is None
    desk.commits()
    assert sent(desk) == (1, 0)


def test_a_settled_step_is_never_undone() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(CHARGE), call(QUIET, 0, 0))
    desk.returns("wires", 1)
    desk.commits()
    desk.ends("charge[0]")
    desk.commits()
    desk.dies()
    assert sent(desk) is None
    assert "quiet[0]" in desk.sent


def test_the_last_failure_is_an_outcome_and_not_undone() -> None:
    desk = charging()
    desk.commits()
    for _ in range(2):
        desk.ends(bad=["charge[0]"])
        desk.commits()
        desk.time_comes()
        desk.ends("charge[0]")
        desk.commits()
    desk.ends(bad=["charge[0]"])
    desk.commits()
    assert begun(desk) == [1, 2, 3]
    assert sent(desk) is None
    assert desk.end is not None
    assert desk.end.status == "failed"


def test_a_rollback_is_tried_again_by_its_own_policy() -> None:
    desk = charging()
    desk.commits()
    desk.dies()
    desk.ends(bad=["charge[0]"])
    desk.commits()
    desk.dies()
    assert sent(desk) is None  # its back-off survives a crash
    desk.time_comes()
    assert sent(desk) == (2, 1)
    desk.ends("charge[0]")
    desk.commits()
    assert sent(desk) == (1, 0)


def test_a_rollback_that_fails_for_good_fails_the_step() -> None:
    desk = charging()
    desk.commits()
    desk.dies()
    for _ in range(3):
        desk.ends(bad=["charge[0]"])
        desk.commits()
        desk.time_comes()
    assert [r.tried for row in desk.rows for r in row.records if isinstance(r, RollbackFailed)] == [1, 2]
    assert desk.end is not None
    assert desk.failed_with == (
        "the rollback undo of charge[0] failed after Attempt 1, with ValueError: no; what that Attempt did may stand"
    )


def test_events_told_twice_are_passed_by() -> None:
    desk = charging()
    desk.commits()
    first = desk.sent["charge[0]"]
    failed = AttemptsEnded(desk.now, (Outcome(first.step, 1, None, failure(), NOT_RUN),))
    desk.tell(failed)
    desk.commits()
    desk.time_comes()
    assert sent(desk) == (1, 1)
    desk.tell(failed)
    desk.tell(AttemptsEnded(desk.now, (Outcome(first.step, 1, thing(7), None, NOT_RUN),)))
    assert begun(desk) == [1]
    undone = AttemptsEnded(desk.now, (desk.outcome("charge[0]", thing(8), None),))
    desk.tell(undone)
    desk.tell(undone)
    assert begun(desk) == [1, 2]
    assert 8 in desk.released


def test_a_call_of_an_async_body_is_undone_with_the_arguments_on_record() -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(CHARGE, args=thing(5)), awaits=(0,))
    (record,) = [r for row in desk.rows for r in row.records if isinstance(r, AttemptStarted)]
    assert record.args is not None
    assert record.args.data == thing(5)
    desk.commits()
    desk.dies()
    desk.makes("watches", call(CHARGE, args=thing(6)), awaits=(0,))
    assert sent(desk) == (1, 1)
    assert desk.sent["charge[0]"].args.data == thing(5)


def test_another_call_in_a_replay_is_refused() -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(CHARGE, digest="a"), awaits=(0,))
    desk.commits()
    desk.dies()
    desk.makes("watches", call(CHARGE, digest="b"), awaits=(0,))
    assert sent(desk) is None
    desk.commits()
    assert desk.end is None
    assert desk.parked is not None
    assert desk.parked.reason is Reason.DIVERGED


def test_a_step_that_ends_its_engine_each_time_parks_the_run() -> None:
    desk = RunDesk(CHARGE, Limits(takeovers_max=2))
    desk.commits()
    for _ in range(2):
        desk.dies()
        desk.ends("charge")
        desk.commits()
        assert desk.sent["charge"].undoes == 0
    desk.dies()
    desk.commits()
    assert "charge" not in desk.sent
    assert desk.failed_with.startswith("Attempt 1 of charge was begun 3 times, and its engine ended each time")


def test_a_cancelled_run_leaves_its_rollback() -> None:
    desk = charging()
    desk.commits()
    desk.dies()
    desk.tell(CancelCame(desk.now, "m"))
    assert desk.revoked == [2]


def test_without_records_a_failed_attempt_is_undone_too() -> None:
    desk = RunDesk(CHARGE, durable=False)
    desk.ends(bad=["charge"])
    desk.time_comes()
    assert desk.sent["charge"].undoes == 1
    desk.ends("charge")
    assert desk.sent["charge"].attempt == 2
    assert desk.rows == []
