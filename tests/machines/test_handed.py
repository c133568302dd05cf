"""Calls of async bodies that were handed over and have no record: what other code may make of them (B2, L2)."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import QUIET, SEEN, UID, WATCHES, WIRES, RunDesk, call

from weftrun.model.graph import Call
from weftrun.model.outcomes import Failure, Reason
from weftrun.model.records import Abandoned, Unfit
from weftrun.testing.closure import closure_violations


def in_flight() -> RunDesk:
    """`quiet` is on record, and `seen`, which takes it, was handed over."""
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.commits()
    desk.makes("watches", call(SEEN, 0, 0, digest="s"), awaits=(1,))
    desk.commits()
    assert set(desk.sent) == {"seen[0]"}
    return desk


def replayed(desk: RunDesk, second: Call | None) -> None:
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    if second is not None:
        desk.makes("watches", second, awaits=(1,))
    desk.commits()


def test_the_same_call_is_entered_again_under_its_key() -> None:
    desk = in_flight()
    desk.dies(keeps_trace=True, other_code=True)
    replayed(desk, call(SEEN, 0, 0, digest="s"))
    assert desk.parked is None
    assert set(desk.sent) == {"seen[0]"}


@pytest.mark.parametrize(
    ("second", "told"),
    [
        (call(SEEN, 0, 0, digest="other"), "with other arguments"),
        (call(SEEN, 0, digest="s"), "with other arguments"),
        (call(QUIET, 1, 0, digest="s"), "calls quiet[1] now, where seen[0] had been handed to a Sandbox"),
    ],
)
def test_another_call_in_its_place_parks_the_run(second: Call, told: str) -> None:
    desk = in_flight()
    desk.dies(keeps_trace=True)
    replayed(desk, second)
    assert desk.parked is not None
    assert told in desk.parked.message
    assert "may have happened" in desk.parked.message
    assert not desk.sent
    assert [type(record) for record in desk.rows[-1].records] == [Abandoned, Unfit]


def test_a_body_that_ends_before_it_parks_the_run() -> None:
    desk = in_flight()
    desk.dies(keeps_trace=True)
    replayed(desk, None)
    desk.returns("watches")
    desk.commits()
    assert desk.parked is not None
    assert "seen[0]" in desk.parked.message


def test_a_retry_gives_the_other_call_a_key_of_its_own() -> None:
    desk = in_flight()
    desk.dies(keeps_trace=True)
    replayed(desk, call(SEEN, 0, 0, digest="other"))
    desk.retries(keeps_trace=True)
    replayed(desk, call(SEEN, 0, 0, digest="other"))
    assert desk.parked is None
    assert set(desk.sent) == {"seen~2[0]"}
    desk.ends("seen~2[0]")
    desk.commits()
    desk.returns("watches", 1)
    desk.commits()
    assert desk.end is not None
    assert desk.end.status == "succeeded"
    assert closure_violations({UID: desk.rows}) == []


def test_what_nobody_sees_binds_nobody_and_what_has_a_record_is_held_against_that() -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), call(SEEN, digest="s"), awaits=(1,))
    desk.commits()
    desk.ends("seen[0]")
    desk.commits()
    desk.dies(keeps_trace=True)
    desk.makes("watches", call(QUIET, digest="other"), call(SEEN, digest="s"), awaits=(1,))
    assert desk.parked is None
    assert set(desk.sent) == {"quiet[0]"}


def test_the_outer_call_is_told_with_a_visible_one_inside_it() -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(WIRES, digest="w"), awaits=(0,))
    desk.makes("wires[0]", call(QUIET), call(SEEN))
    desk.returns("wires[0]", 1)
    desk.commits()
    told = {handed.step: handed.visible for handed in desk.handed}
    assert told == {"wires[0]": True}
    desk.dies(keeps_trace=True)
    desk.makes("watches", call(WIRES, digest="other"), awaits=(0,))
    desk.commits()
    assert desk.parked is not None


NAMES = Failure(Reason.RAISED, "NameError", "name 'charge' is not defined")
SHAPE = Failure(Reason.RAISED, "TypeError", "store(): missing a required argument: 'x'")


@pytest.mark.parametrize(
    ("failure", "other_code", "parks"), [(NAMES, False, True), (SHAPE, True, True), (SHAPE, False, False)]
)
def test_an_error_of_code_that_does_not_fit_parks_a_run_that_was_taken_over(
    failure: Failure, other_code: bool, parks: bool
) -> None:
    desk = RunDesk(WATCHES)
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.commits()
    desk.dies(other_code=other_code)
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.returns("watches", fails=failure)
    desk.commits()
    assert (desk.parked is not None, desk.end is not None) == (parks, not parks)


def test_the_same_error_is_an_outcome_where_no_other_engine_came_further() -> None:
    fresh = RunDesk(WATCHES)
    fresh.commits()
    fresh.returns("watches", fails=NAMES)
    fresh.commits()
    beyond = RunDesk(WATCHES)
    beyond.commits()
    beyond.dies()
    beyond.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    beyond.ends("quiet[0]")
    beyond.commits()
    beyond.returns("watches", fails=NAMES)
    beyond.commits()
    for desk in (fresh, beyond):
        assert desk.parked is None
        assert desk.end is not None
