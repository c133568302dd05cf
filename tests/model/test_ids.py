"""Names of Steps are paths (rule B4), and their keys of effects begin with the Run's uid."""

from __future__ import annotations

from weftrun.model.ids import RunUid, StepId, child_step, effect_key, item_step


def test_calls_of_the_root_body_carry_no_prefix() -> None:
    assert child_step(StepId("flow"), StepId("flow"), "count", 3) == "count[3]"


def test_calls_of_other_bodies_extend_their_path() -> None:
    body = child_step(StepId("flow"), StepId("flow"), "resize", 0)
    assert child_step(body, StepId("flow"), "load", 1) == "resize[0]/load[1]"


def test_an_item_adds_its_index() -> None:
    assert item_step(StepId("count[0]"), 17) == "count[0].17"


def test_a_key_is_of_one_run_and_one_step() -> None:
    keys = {effect_key(RunUid(uid * 32), StepId(step)) for uid in "ab" for step in ("f[0]", "f[0].1")}
    assert keys == {f"{'a' * 32}/f[0]", f"{'a' * 32}/f[0].1", f"{'b' * 32}/f[0]", f"{'b' * 32}/f[0].1"}
