"""Graphs and values that can't be: the Run fails with a sentence that names the place, and the engine goes on."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.engine import misuse as m
from tests.engine.leftovers import nothing_left, warm  # noqa: F401

import weftrun


@pytest.mark.parametrize(
    ("workflow", "text"),
    [
        (m.takes_its_own_value, r"add\[1\] takes a Ref of a call that .* had not made before it"),
        (m.takes_each_others_values, r"add\[1\] takes a Ref of a call that .* had not made before it"),
        (m.answers_with_what_is_not_there, r"the answer of .* holds a Ref of a call that it had not made"),
        (m.awaits_its_own_end, r"awaits_its_own_end awaits a call that it had not made"),
    ],
    ids=lambda value: value.spec.label if isinstance(value, weftrun.Function) else "",
)
def test_a_cycle_is_refused(engine: weftrun.Engine, workflow: weftrun.Function, text: str) -> None:
    """A body gets a Ref only by making its call first; one that a body forged is refused by the graph."""
    run = engine.start(workflow)
    with pytest.raises(weftrun.WeftrunError, match=text) as caught:
        run.result(30)
    assert "\n" not in str(caught.value)
    assert run.status == "failed"
    assert engine.run(m.sound) == 3


def test_a_ref_of_another_run(url: str) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.start(m.keeps_a_ref.options(id="A")).result(30) == 3
        with pytest.raises(weftrun.UsageError, match=r"This Ref belongs to run A, not B: it was kept in a global"):
            engine.start(m.keeps_a_ref.options(id="B")).result(30)
        assert engine.run(m.sound) == 3


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (m.gives_socket, r"The result of gives_socket holds a socket at result\['conn'\]\[1\] and can't be pickled"),
        (m.hands_on_a_lock, r"xs\[1\]\['deep'\].*can't be pickled"),
        (m.items_with_a_lock, r"can't be pickled"),
        (m.answers_with_a_lock, r"\['a'\]\[1\].*can't be pickled"),
    ],
    ids=lambda value: value.spec.label if isinstance(value, weftrun.Function) else "",
)
def test_a_value_that_can_not_be_pickled_is_named(
    engine: weftrun.Engine, function: weftrun.Function, text: str
) -> None:
    with pytest.raises(weftrun.NotSerializable, match=text) as caught:
        engine.start(function).result(30)
    assert "\n" not in str(caught.value)
    assert engine.run(m.sound) == 3


@pytest.mark.parametrize(
    ("args", "kwargs"), [((threading.Lock(),), {}), ((), {"x": {"a": threading.Lock()}})], ids=["positional", "keyword"]
)
def test_an_argument_of_a_run_that_can_not_be_pickled_starts_nothing(
    engine: weftrun.Engine, args: tuple, kwargs: dict
) -> None:
    with pytest.raises(weftrun.NotSerializable, match=r"Argument x of same .*can't be pickled"):
        engine.start(m.same.options(id="never"), *args, **kwargs)
    with pytest.raises(weftrun.RunNotFound):
        engine.get("never")


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [((), {}, "xs"), (([1], 2), {}, "too many"), (([1],), {"ys": 1}, "ys")],
    ids=["missing", "too many", "unknown"],
)
def test_arguments_that_do_not_fit_start_nothing(engine: weftrun.Engine, args: tuple, kwargs: dict, text: str) -> None:
    with pytest.raises(TypeError, match=rf"total\(\).*{text}"):
        engine.start(m.total.options(id="never"), *args, **kwargs)
    with pytest.raises(weftrun.RunNotFound):
        engine.get("never")


def test_the_same_id_with_other_arguments_changes_nothing(url: str) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.start(m.total.options(id="one"), [1, 2]).result(30) == 3
        for _ in range(2):
            with pytest.raises(weftrun.RunConflict, match="with other arguments") as caught:
                engine.start(m.total.options(id="one"), [1, 3])
            assert "\n" not in str(caught.value)
        assert engine.get("one").result(30) == 3
    with weftrun.open(url, sandboxes=1) as engine:
        with pytest.raises(weftrun.RunConflict, match="with other arguments"):
            engine.start(m.total.options(id="one"), [1, 3])
        again = engine.start(m.total.options(id="one"), [1, 2])
        assert (again.joined, again.result(30)) == (True, 3)


def test_the_name_that_sandboxes_had_is_refused_with_the_one_of_now(url: str) -> None:
    with pytest.raises(weftrun.UsageError) as caught:
        weftrun.open(url, workers=3)  # type: ignore[arg-type]
    assert str(caught.value) == "weftrun.open(workers=3) is not known: say sandboxes=3 for the number of Sandboxes."


@pytest.mark.parametrize("sandboxes", [0, -2, 1_000_000, "2", True, 1.5])
def test_what_is_no_number_of_sandboxes(url: str, sandboxes: Any) -> None:
    with pytest.raises(weftrun.UsageError, match="it takes a whole number from 1 to 10,000"):
        weftrun.open(url, sandboxes=sandboxes)


def test_a_run_to_recover_that_is_not_there_is_told(url: str) -> None:
    for wrong in ("All", "nobody"):
        with pytest.raises(weftrun.RunNotFound, match=f"recover='{wrong}' is neither 'all' nor 'none', and .* has no"):
            weftrun.open(url, sandboxes=1, recover=wrong)
    with weftrun.open(url, sandboxes=1) as engine:
        engine.run(m.total.options(id="one"), [1])
    with pytest.raises(weftrun.RunNotFound, match="recover='two'"):
        weftrun.open(url, sandboxes=1, recover="two")
    with weftrun.open(url, sandboxes=1, recover="one") as engine:
        assert engine.get("one").result(30) == 1
    with pytest.raises(weftrun.UsageError, match="recover=None"):
        weftrun.open(url, sandboxes=1, recover=None)  # type: ignore[arg-type]
