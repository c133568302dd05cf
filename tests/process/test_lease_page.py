"""Until when Sandboxes may enter bodies (O3): by the time that the engine has told, and by its fences."""

from __future__ import annotations

import os

from tests.process.rig import Rig

from weftrun.guest.attempt import LAPSED
from weftrun.wire.lease_page import LeasePage

LAPSED_TEXT = f"exit code {LAPSED}"


def test_a_page_bounds_whoever_maps_it() -> None:
    page = LeasePage.made()
    before = LeasePage(os.dup(page.descriptor))
    assert before.may_enter()
    page.enter_for(-1.0)
    assert not before.may_enter()
    page.enter_for(60.0)
    assert before.may_enter()
    page.fence()
    after = LeasePage(os.dup(page.descriptor))
    page.enter_for(60.0)
    assert not before.may_enter()
    assert after.may_enter()
    for hold in (page, before, after):
        hold.close()


def test_as_many_guests_stay_awake_as_there_are_places() -> None:
    page = LeasePage.made(2)
    guest = LeasePage(os.dup(page.descriptor))
    awake = []
    for spoke in (7, 8, 8, 7, 9, 7):
        page.let_stay_awake(spoke)
        awake.append([number for number in (7, 8, 9) if guest.may_stay_awake(number)])
    assert awake == [[7], [7, 8], [7, 8], [7, 8], [8, 9], [7, 9]]
    for hold in (page, guest):
        hold.close()


def test_no_body_is_entered_after_the_hold(rig: Rig) -> None:
    sandbox = rig.ready()
    assert rig.call(sandbox, "inc", 1) == 2
    rig.on_loop(lambda: rig.sandboxes.hold_until(rig.loop.now() - 1.0))
    rig.send(sandbox, "inc", (1,))
    assert rig.hear("gone")[2] == LAPSED_TEXT
    rig.on_loop(lambda: rig.sandboxes.hold_until(rig.loop.now() + 60.0))
    assert rig.call(rig.ready(), "inc", 1) == 2


def test_a_fence_is_for_those_that_are_there(rig: Rig) -> None:
    """Also for what a Sandbox has in its queue; a later hold opens nothing for it, and later Sandboxes serve."""
    sandbox = rig.ready()
    rig.send(sandbox, "sleeps", (0.5,), (0.0,))
    rig.on_loop(rig.sandboxes.fence)
    rig.on_loop(lambda: rig.sandboxes.hold_until(rig.loop.now() + 60.0))
    told = rig.heard.get(timeout=20.0)
    while told[0] == "spoke":
        assert [outcome.index for outcome in told[2].outcomes] == [0]
        told = rig.heard.get(timeout=20.0)
    assert told[:3] == ("gone", sandbox, LAPSED_TEXT)
    assert rig.call(rig.ready(), "inc", 1) == 2
