"""A Run that failed is retried: what failed is taken back, every success stands (L1)."""

from __future__ import annotations

from tests.machines.run_desk import CHARGE, LOOSE, QUIET, SEEN, TRIED, UID, WATCHES, WIRES, RunDesk, call, chunk

from weftrun.model.events import CancelCame
from weftrun.model.ids import StepId
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.records import Abandoned, Branched, Ended, Retried, Settled
from weftrun.testing.closure import closure_violations

NO = Failure(Reason.RAISED, "E", "no")


def outcomes(desk: RunDesk) -> list[tuple[str, int, str]]:
    """Return what has settled, in order: the Step, its Attempt, and how."""
    return [
        (str(o.step), o.attempt, o.cause or ("failed" if isinstance(o.outcome, Failure) else "ok"))
        for row in desk.rows
        for record in row.records
        if isinstance(record, Settled)
        for o in record.outcomes
    ]


def kinds(desk: RunDesk) -> list[type]:
    return [type(record) for row in desk.rows for record in row.records]


def assert_closed(desk: RunDesk) -> None:
    assert closure_violations({UID: desk.rows}) == []


def wired_and_failed() -> RunDesk:
    """`quiet` succeeded, `seen` failed, and the last one was never entered."""
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(QUIET), call(SEEN, 0, 0), call(LOOSE, 0, 1))
    desk.returns("wires", 2)
    desk.commits()
    desk.ends("quiet[0]")
    desk.commits()
    desk.ends(bad=["seen[0]"])
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "failed"
    return desk


def test_what_failed_runs_again_and_what_succeeded_is_kept() -> None:
    desk = wired_and_failed()
    desk.retries()
    assert not desk.bodies, "the graph of a `def` body stands"
    assert [(step, sent.attempt) for step, sent in desk.sent.items()] == [("seen[0]", 2)]
    desk.ends("seen[0]")
    desk.ends("loose[0]")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert outcomes(desk)[:3] == [("quiet[0]", 1, "ok"), ("seen[0]", 1, "failed"), ("seen[0]", 2, "ok")]
    assert_closed(desk)


def test_a_policy_counts_its_attempts_anew_and_numbers_go_on() -> None:
    desk = RunDesk(TRIED)
    desk.commits()
    for _ in range(3):
        desk.ends(bad=["tried"])
        desk.commits()
        desk.time_comes()
    desk.ends(bad=["tried"])
    desk.commits()
    assert desk.end is not None
    desk.retries()
    assert desk.sent["tried"].attempt == 5
    desk.ends(bad=["tried"])
    assert desk.end is None, "its policy allows four Attempts in each life"
    desk.commits()
    desk.time_comes()
    assert desk.sent["tried"].attempt == 6


def test_failed_items_run_again_alone() -> None:
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(QUIET, is_map=True), chunks=[chunk(0, 0, 4)])
    desk.returns("wires", 0)
    desk.commits()
    desk.items_end("quiet[0]", (0, 1), (3, 4), fails=[1, 2])
    desk.commits()
    assert desk.end is not None
    desk.retries()
    desk.time_comes()
    assert desk.ranges == [(1, 2), (2, 3)]
    assert desk.items["quiet[0]"].attempt == 2
    desk.items_end("quiet[0]", (1, 3), attempt=2)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert_closed(desk)


def test_a_cancelled_run_goes_on_where_it_was() -> None:
    desk = RunDesk()
    desk.commits()
    desk.makes("watches", call(QUIET, digest="d0"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.makes("watches", call(SEEN, digest="d1"), awaits=(1,))
    desk.commits()
    desk.tell(CancelCame(desk.now, "m1"))
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "cancelled"
    assert Abandoned((StepId("seen[0]"),)) in [record for row in desk.rows for record in row.records]
    desk.retries()
    desk.makes("watches", call(QUIET, digest="d0"), awaits=(0,))
    assert not desk.sent
    desk.makes("watches", call(SEEN, digest="d1"), awaits=(1,))
    assert list(desk.sent) == ["seen[0]"], "a body that goes the same way makes the same calls"
    assert_closed(desk)


def caught_and_failed() -> RunDesk:
    """An async body catches a failure, makes two calls because of it, and fails."""
    desk = RunDesk()
    desk.commits()
    desk.makes("watches", call(QUIET, digest="book"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(1,))
    desk.commits()
    desk.ends(bad=["seen[0]"])
    desk.makes("watches", call(LOOSE, digest="told"), call(QUIET, 1, digest="undo"), awaits=(2,))
    desk.commits()
    desk.ends("loose[0]")
    desk.commits()
    desk.makes("watches", awaits=(3,))
    desk.ends("quiet[1]")
    desk.commits()
    desk.returns("watches", fails=NO)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "failed"
    return desk


def again_to_the_failure(desk: RunDesk) -> None:
    """The body of `caught_and_failed` makes its way to the failure, which does not come this time."""
    desk.makes("watches", call(QUIET, digest="book"), awaits=(0,))
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(1,))
    assert [(step, sent.attempt) for step, sent in desk.sent.items()] == [("seen[0]", 2)]
    desk.ends("seen[0]")


def test_a_body_that_had_gone_on_goes_another_way() -> None:
    """The same call is given its success; another one of that name gets another name, and with it another key."""
    desk = caught_and_failed()
    desk.retries()
    again_to_the_failure(desk)
    desk.makes("watches", call(LOOSE, digest="other"), call(QUIET, 1, digest="undo"), awaits=(2,))
    assert set(desk.sent) == {"loose~2[0]"}
    desk.ends("loose~2[0]")
    desk.makes("watches", call(SEEN, 1, digest="new"), awaits=(3,))
    desk.makes("watches", awaits=(4,))
    desk.commits()
    assert set(desk.sent) == {"seen[1]"}, "a name that nothing is on record of is free"
    desk.ends("seen[1]")
    desk.returns("watches", 4, 3)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert outcomes(desk)[-4:] == [
        ("seen[0]", 2, "ok"),
        ("quiet[1]", 1, "kept"),
        ("loose~2[0]", 1, "ok"),
        ("seen[1]", 1, "ok"),
    ]
    assert_closed(desk)


def test_what_went_another_way_is_replayed_so() -> None:
    desk = caught_and_failed()
    desk.retries()
    again_to_the_failure(desk)
    desk.makes("watches", call(LOOSE, digest="other"), call(QUIET, 1, digest="undo"), awaits=(2,))
    desk.ends("loose~2[0]")
    desk.commits()
    desk.dies()
    desk.makes("watches", call(QUIET, digest="book"), awaits=(0,))
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(1,))
    desk.makes("watches", call(LOOSE, digest="other"), call(QUIET, 1, digest="undo"), awaits=(2,))
    assert not desk.sent
    assert [delivered.call for delivered in desk.delivered] == [0, 1, 2]
    desk.makes("watches", awaits=(3,))
    desk.returns("watches", 2, 3)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert_closed(desk)


def test_a_third_life_finds_the_names_of_the_second() -> None:
    desk = caught_and_failed()
    desk.retries()
    again_to_the_failure(desk)
    desk.makes("watches", call(LOOSE, digest="other"), awaits=(2,))
    desk.ends("loose~2[0]")
    desk.makes("watches", call(SEEN, 1, digest="new"), awaits=(3,))
    desk.commits()
    desk.ends(bad=["seen[1]"])
    desk.commits()
    desk.returns("watches", fails=NO)
    desk.commits()
    desk.retries()
    desk.makes("watches", call(QUIET, digest="book"), awaits=(0,))
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(1,))
    desk.makes("watches", call(LOOSE, digest="other"), awaits=(2,))
    desk.makes("watches", call(SEEN, 1, digest="new"), awaits=(3,))
    assert [(step, sent.attempt) for step, sent in desk.sent.items()] == [("seen[1]", 2)]
    desk.ends("seen[1]")
    desk.makes("watches", call(LOOSE, 1, digest="x"), awaits=(4,))
    assert set(desk.sent) == {"loose[1]"}
    assert_closed(desk)


def test_a_body_that_calls_something_else_goes_another_way_from_there() -> None:
    """In a later life a call that does not fit the record begins another branch, which is on record itself."""
    desk = caught_and_failed()
    desk.retries()
    desk.makes("watches", call(TRIED, digest="check"), awaits=(0,))
    assert set(desk.sent) == {"tried[0]"}
    desk.ends("tried[0]")
    desk.makes("watches", call(QUIET, digest="book"), awaits=(1,))
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(2,))
    desk.commits()
    assert [(step, sent.attempt) for step, sent in desk.sent.items()] == [("seen[0]", 2)]
    assert kinds(desk).count(Branched) == 1
    desk.dies()
    desk.makes("watches", call(TRIED, digest="check"), awaits=(0,))
    desk.makes("watches", call(QUIET, digest="book"), awaits=(1,))
    assert not desk.sent
    desk.makes("watches", call(SEEN, digest="pay"), awaits=(2,))
    desk.ends("seen[0]")
    desk.returns("watches", 0, 1, 2)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert_closed(desk)


def test_a_failed_call_that_is_mended_gets_another_key() -> None:
    """What is done outside under one key has one input."""
    desk = caught_and_failed()
    desk.retries()
    desk.makes("watches", call(QUIET, digest="book"), awaits=(0,))
    desk.makes("watches", call(SEEN, digest="pay in euro"), awaits=(1,))
    assert [(step, sent.attempt) for step, sent in desk.sent.items()] == [("seen~2[0]", 1)]
    assert_closed(desk)


def test_what_a_failed_attempt_did_is_undone_before_the_next() -> None:
    desk = RunDesk(WIRES)
    desk.commits()
    desk.makes("wires", call(CHARGE))
    desk.returns("wires", 0)
    desk.commits()
    desk.commits()
    for _ in range(3):
        if desk.sent and desk.sent["charge[0]"].undoes:
            desk.ends("charge[0]")
            desk.commits()
        desk.ends(bad=["charge[0]"])
        desk.commits()
        desk.time_comes()
    assert desk.end is not None
    desk.retries()
    assert desk.sent["charge[0]"].undoes == 3
    desk.ends("charge[0]")
    desk.commits()
    assert (desk.sent["charge[0]"].attempt, desk.sent["charge[0]"].undoes) == (4, 0)
    desk.ends("charge[0]")
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert_closed(desk)


def test_what_stands_inside_a_child_that_succeeded_stands() -> None:
    """A child that caught a failure and succeeded is never entered again."""
    desk = RunDesk()
    desk.commits()
    desk.makes("watches", call(WATCHES, digest="child"), awaits=(0,))
    desk.makes("watches[0]", call(SEEN, digest="may fail"), awaits=(0,))
    desk.commits()
    desk.ends(bad=["watches[0]/seen[0]"])
    desk.returns("watches[0]")
    desk.commits()
    desk.makes("watches", call(QUIET, digest="bug"), awaits=(1,))
    desk.ends(bad=["quiet[0]"])
    desk.returns("watches", fails=NO)
    desk.commits()
    desk.retries()
    desk.makes("watches", call(WATCHES, digest="child"), awaits=(0,))
    desk.makes("watches", call(QUIET, digest="bug"), awaits=(1,))
    assert list(desk.sent) == ["quiet[0]"]
    assert list(desk.bodies) == ["watches"]
    assert_closed(desk)


def test_an_end_is_the_last_record_of_a_life() -> None:
    desk = wired_and_failed()
    desk.retries()
    assert kinds(desk)[-2:] == [Ended, Retried]
    assert desk.end is None
