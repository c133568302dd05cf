"""A body that takes new code says so by a call that is settled at once: the record tells which code a Run has."""

from __future__ import annotations

import pytest
from tests.machines import run_desk
from tests.machines.run_desk import FUNCTIONS, QUIET, SEEN, UID, RunDesk, call

from weftrun.machines.run import bodies
from weftrun.model.graph import Call
from weftrun.model.policy import PATCHES, FunctionSpec, Kind
from weftrun.model.records import Settled
from weftrun.model.values import Inline, Payload
from weftrun.testing.closure import closure_violations

PATCH = FunctionSpec(f"{PATCHES}new", "patch:new", Kind.TIMER, effects="none", timeout_s=0.0)
TABLE = (*FUNCTIONS, PATCH)


def patch() -> Call:
    return Call(len(FUNCTIONS), 0, Payload(Inline(b"none")), (), False, "new")


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_desk, "FUNCTIONS", TABLE)


def begun() -> RunDesk:
    desk = RunDesk()
    desk.commits()
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.ends("quiet[0]")
    desk.commits()
    return desk


def settled(desk: RunDesk) -> list[str]:
    return [str(o.step) for row in desk.rows for r in row.records if isinstance(r, Settled) for o in r.outcomes]


def test_a_visible_step_behind_a_patch_waits_until_the_patch_is_on_record() -> None:
    desk = begun()
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    assert settled(desk) == ["quiet[0]", "patch:new[0]"]
    assert not desk.sent, "the answer is not durable"
    desk.commits()
    assert list(desk.sent) == ["seen[0]"]
    assert closure_violations({UID: desk.rows}) == []


def test_a_planted_bug_lets_it_go_too_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "see_patch", lambda *_: None)
    desk = begun()
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    assert list(desk.sent) == ["seen[0]"]


def test_a_replay_is_told_which_calls_are_known_and_which_are_patches() -> None:
    desk = begun()
    assert (desk.bodies["watches"].past.calls, desk.bodies["watches"].past.patches) == (0, ())
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    desk.commits()
    desk.dies()
    past = desk.bodies["watches"].past
    assert (past.calls, past.patches) == (2, ((1, "new"),)), "of what was under way nothing is known without a trace"
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    desk.ends("seen[0]")
    desk.commits()
    assert settled(desk) == ["quiet[0]", "patch:new[0]", "seen[0]"]
    assert closure_violations({UID: desk.rows}) == []


def test_what_was_handed_over_has_passed_the_place() -> None:
    desk = begun()
    desk.makes("watches", call(SEEN, digest="s"), awaits=(1,))
    desk.dies(keeps_trace=True)
    assert (desk.bodies["watches"].past.calls, desk.bodies["watches"].past.patches) == (2, ())


def test_a_body_lost_with_its_sandbox_is_told_what_its_engine_knows() -> None:
    desk = begun()
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    desk.loses("watches", innocent=True)
    past = desk.bodies["watches"].past
    assert (past.calls, past.patches) == (3, ((1, "new"),))


def test_a_retry_may_take_the_new_code_where_the_run_had_failed() -> None:
    desk = begun()
    desk.makes("watches", call(SEEN, digest="s"), awaits=(1,))
    desk.commits()
    desk.ends(bad=["seen[0]"])
    desk.returns("watches", fails=run_desk.failure())
    desk.commits()
    desk.retries()
    assert desk.bodies["watches"].past.calls == 1
    desk.makes("watches", call(QUIET, digest="q"), awaits=(0,))
    desk.makes("watches", patch(), call(SEEN, digest="s"), awaits=(2,))
    desk.commits()
    assert desk.parked is None
    assert list(desk.sent) == ["seen[0]"]
    assert closure_violations({UID: desk.rows}) == []
