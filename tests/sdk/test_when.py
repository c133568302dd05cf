"""`weftrun.when`: the same here and in an engine, and what was not chosen never runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from tests.sdk.choices import chosen, halve, is_large, keep, nested, nothing, refused

import weftrun
from weftrun import UsageError, workflow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('when')}/j.db", sandboxes=2) as engine:
        yield engine


CASES = [(chosen, 27, 30), (chosen, 5, 10), (nested, 27, 30), (nothing, 11, 11), (nothing, 5, None), (refused, 5, 5)]


@pytest.mark.parametrize(("function", "n", "found"), CASES)
def test_it_gives_the_same_here_and_in_an_engine(engine: weftrun.Engine, function: Any, n: int, found: object) -> None:
    assert function(n) == found
    assert engine.run(function, n) == found


def test_what_was_not_chosen_is_no_step(engine: weftrun.Engine) -> None:
    run = engine.start(chosen, 27)
    assert run.result(timeout_s=60) == 30
    steps = {step.id for step in run.steps()}
    assert {"when[0]", "when[0]/twice[0]", "when[0]/twice[0]/halve[1]", "add[0]"} <= steps
    assert not any(step.startswith("when[0]/keep") for step in steps)


def test_an_error_of_the_chosen_one_is_the_author_s(engine: weftrun.Engine) -> None:
    for call in (lambda: refused(11), lambda: engine.run(refused, 11)):
        with pytest.raises(ValueError, match="11 is refused"):
            call()


def test_outside_of_a_body_it_calls_at_once() -> None:
    assert weftrun.when(True, halve, keep, 9) == 4
    assert weftrun.when(is_large(3), halve, None, 9) is None


def test_what_can_not_be_chosen_is_told() -> None:
    @workflow
    def wrong(n: int) -> int:
        return weftrun.when(is_large(n), cast("Any", halve(n)), keep, n)

    @workflow
    def unlike(n: int) -> int:
        return cast("Any", weftrun.when)(is_large(n), halve, is_large, n, by=3)

    with pytest.raises(
        UsageError, match=r"weftrun.when: 'then' is a call, and must be a Function or a workflow, not called"
    ):
        wrong(3)
    with pytest.raises((UsageError, TypeError), match="by"):
        unlike(3)
