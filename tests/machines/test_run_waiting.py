"""A Run that does nothing but wait for a due time says so, once it has nothing that is not in a row (O1)."""

from __future__ import annotations

import pytest
from tests.machines.run_desk import (
    CHARGE,
    LOOSE,
    QUIET,
    SEEN,
    SURE,
    TRIED,
    WATCHES,
    WIRES,
    RunDesk,
    call,
    chunk,
)

from weftrun.model.limits import Limits

DUE = 1010.0


def wires(desk: RunDesk, *calls: object, answer: tuple[int, ...] = (0,)) -> None:
    """The body of the Run makes these calls and ends."""
    desk.makes("wires", *calls)
    desk.returns("wires", *answer)
    desk.commits()


def test_a_run_whose_only_step_backs_off_waits() -> None:
    desk = RunDesk(TRIED)
    desk.commits()
    desk.ends(bad=["tried"])
    assert desk.waits_until == 0.0, "its row is not durable yet"
    desk.commits()
    assert desk.waits_until == desk.wake_at == DUE


def test_it_is_told_once_for_each_time() -> None:
    desk = RunDesk(TRIED)
    desk.commits()
    desk.ends(bad=["tried"])
    desk.commits()
    desk.waits_until = 0.0
    desk.commits()
    assert desk.waits_until == 0.0
    desk.dies()
    assert desk.waits_until == DUE, "made again from its rows, it says so again"


def test_a_short_wait_is_no_reason() -> None:
    desk = RunDesk(TRIED, Limits(wait_in_memory_s=10.0))
    desk.commits()
    desk.ends(bad=["tried"])
    desk.commits()
    assert (desk.waits_until, desk.wake_at) == (0.0, DUE)


@pytest.mark.parametrize("function", [QUIET, SEEN], ids=["runs", "is gated"])
def test_another_step_that_goes_on_keeps_it(function: object) -> None:
    desk = RunDesk(WIRES)
    wires(desk, call(TRIED), call(QUIET), call(function, 0, 1), answer=(0, 2))
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert desk.waits_until == 0.0
    desk.ends("quiet[0]")
    desk.commits()
    assert desk.waits_until == 0.0, "the next one goes on"
    desk.ends(f"{function.label}[0]")
    desk.commits()
    assert desk.waits_until == DUE


def test_a_rollback_that_runs_keeps_it() -> None:
    """Suspended, it would be undone a second time while the first one still runs."""
    desk = RunDesk(WIRES)
    wires(desk, call(CHARGE), call(TRIED), answer=(0, 1))
    desk.commits()
    desk.ends(bad=["charge[0]"])
    desk.time_comes()
    desk.commits()
    assert desk.sent["charge[0]"].undoes == 1
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert desk.waits_until == 0.0


def test_what_waits_for_it_does_not_keep_it() -> None:
    desk = RunDesk(WIRES)
    wires(desk, call(TRIED), call(SEEN, 0, 0), answer=(1,))
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert desk.waits_until == DUE


def test_a_body_that_awaits_what_backs_off_does_not_keep_it_and_one_that_computes_does() -> None:
    desk = RunDesk(WATCHES)
    desk.makes("watches", call(TRIED))
    desk.commits()
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert desk.waits_until == 0.0
    desk.makes("watches", awaits=(0,))
    assert desk.waits_until == DUE
    desk.dies()
    desk.makes("watches", call(TRIED), awaits=(0,))
    assert desk.waits_until == DUE
    assert "tried[0]" not in desk.sent


def test_a_value_that_is_in_no_row_and_is_read_again_keeps_it() -> None:
    """To make it again would cost what suspending the Run saves."""
    desk = RunDesk(WIRES)
    wires(desk, call(SURE), call(TRIED, 0, 0), answer=(1,))
    desk.ends("sure[0]")
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert (desk.waits_until, desk.wake_at) == (0.0, DUE)


def test_a_value_that_was_recorded_for_what_failed_does_not_keep_it() -> None:
    desk = RunDesk(WIRES)
    wires(desk, call(LOOSE), call(TRIED, 0, 0), answer=(1,))
    desk.ends("loose[0]")
    desk.ends(bad=["tried[0]"])
    desk.commits()
    assert desk.waits_until == DUE


def test_items_of_a_map_keep_it_until_all_that_are_open_back_off() -> None:
    desk = RunDesk(WIRES)
    desk.makes("wires", call(TRIED, is_map=True), chunks=(chunk(0, 0, 3),))
    desk.returns("wires", 0)
    desk.commits()
    desk.items_end("tried[0]", fails=(1,))
    desk.commits()
    assert desk.waits_until == 0.0
    desk.items_end("tried[0]", (0, 1))
    desk.commits()
    assert desk.waits_until == 0.0
    desk.items_end("tried[0]", fails=(2,))
    desk.commits()
    assert desk.waits_until == desk.wake_at == DUE


def test_nothing_is_suspended_that_keeps_no_record() -> None:
    desk = RunDesk(TRIED, durable=False)
    desk.ends(bad=["tried"])
    assert (desk.waits_until, desk.wake_at) == (0.0, DUE)
