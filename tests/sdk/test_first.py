"""`weftrun.first`: the same here and in an engine, and what becomes of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.sdk.firsts import failing_paths, looking, of_a_map, quickest, too_few, two, visible_ones

import weftrun
from weftrun import UsageError, workflow


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{tmp_path_factory.mktemp('first')}/j.db", sandboxes=2) as engine:
        yield engine


@pytest.mark.parametrize(("function", "found"), [(quickest, 7), (failing_paths, 7), (two, [7, 8]), (visible_ones, 7)])
def test_it_gives_the_same_here_and_in_an_engine(engine: weftrun.Engine, function: Any, found: object) -> None:
    assert function(7) == found
    run = engine.start(function, 7)
    assert run.result(timeout_s=60) == found
    for step in run.steps():
        assert step.status in ("succeeded", "failed", "cancelled"), step
        assert function is not visible_ones or step.status == "succeeded", step  # what is seen outside goes on
        assert not step.id.startswith("slow") or step.status == "cancelled", step


def test_with_too_few_left_it_fails_with_the_error_that_was_one_too_many(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match="8 is refused"):
        too_few(7)
    with pytest.raises(ValueError, match="is refused"):
        engine.run(too_few, 7)


def test_outside_of_a_body_the_first_values_are_returned() -> None:
    assert weftrun.first(3, 4) == 3
    assert weftrun.first(3, 4, 5, k=2) == [3, 4]


def test_what_can_not_be_joined_is_told() -> None:
    @workflow
    def of_values(n: int) -> Any:
        return weftrun.first(n, n)

    @workflow
    def twice(n: int) -> Any:
        call = quickest(n)
        return weftrun.first(call, call)

    with pytest.raises(UsageError, match=r"k=3\) was given 2 calls: it can need 1 to 2"):
        weftrun.first(1, 2, k=3)
    with pytest.raises(UsageError, match="given 0 calls: it can need at least one call"):
        weftrun.first()
    with pytest.raises(UsageError, match=r"weftrun\.first was given 7, which is there already"):
        of_values(7)
    with pytest.raises(UsageError, match="come together: they are of one Step"):
        twice(7)
    with pytest.raises(UsageError, match="its items settle together"):
        of_a_map(3)


def test_in_an_async_body_another_way_is_told(engine: weftrun.Engine) -> None:
    with pytest.raises(UsageError, match=r"await weftrun\.race"):
        engine.run(looking, 7)
