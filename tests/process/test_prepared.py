"""Batches that are sent before they may be entered: a Sandbox waits until its engine lets it, or takes them back."""

from __future__ import annotations

import os

from tests.process.rig import Rig

from weftrun.model.messages import Outcomes
from weftrun.wire.lease_page import LeasePage


def test_a_page_tells_what_is_let_and_what_is_withdrawn() -> None:
    page = LeasePage.made()
    guest = LeasePage(os.dup(page.descriptor))
    page.let(3)
    assert [guest.is_let(batch) for batch in (2, 3, 4, 5)] == [True, True, None, None]
    page.withdraw(4)
    assert [guest.is_let(batch) for batch in (3, 4, 5)] == [True, False, None]
    page.let(5)
    assert [guest.is_let(batch) for batch in (4, 5, 6)] == [False, True, None]
    for mapped in (page, guest):
        mapped.close()


def entered(rig: Rig, sandbox: int) -> int:
    """Return the number of the Batch that a Sandbox has entered last, another one having had time to work."""
    rig.call(rig.ready(), "inc", 1)
    return rig.on_loop(lambda: rig.sandboxes.progress(sandbox)).batch


def test_a_prepared_batch_is_entered_when_it_is_let(rig: Rig) -> None:
    sandbox = rig.ready()
    batch = rig.send(sandbox, "inc", (1,), is_prepared=True)
    assert entered(rig, sandbox) == 0
    rig.on_loop(lambda: rig.sandboxes.let(batch))
    (outcome,) = rig.outcomes(1)
    assert rig.read(outcome.value) == 2


def test_arguments_are_not_read_before(rig: Rig) -> None:
    """Reading them may run code of the author's."""
    sandbox = rig.ready()
    rig.send(sandbox, "no_such_function", (1,), is_prepared=True)
    entered(rig, sandbox)
    assert rig.heard.empty()


def test_a_withdrawn_batch_is_never_entered(rig: Rig) -> None:
    sandbox = rig.ready()
    batch = rig.send(sandbox, "inc", (1,), is_prepared=True)
    rig.on_loop(lambda: rig.sandboxes.withdraw(batch))
    assert rig.hear("spoke")[2] == Outcomes(batch, ())
    later = rig.send(sandbox, "inc", (2,), is_prepared=True)
    rig.on_loop(lambda: rig.sandboxes.let(later))
    (outcome,) = rig.outcomes(1)
    assert rig.read(outcome.value) == 3


def test_no_prepared_batch_is_entered_after_the_hold(rig: Rig) -> None:
    sandbox = rig.ready()
    batch = rig.send(sandbox, "inc", (1,), is_prepared=True)
    rig.on_loop(lambda: rig.sandboxes.hold_until(rig.loop.now() - 1.0))
    rig.on_loop(lambda: rig.sandboxes.let(batch))
    assert rig.hear("gone")[1] == sandbox
