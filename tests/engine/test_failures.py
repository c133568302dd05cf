"""What fails, and how it is told: the author's errors, lost Sandboxes, limits, misuse."""

from __future__ import annotations

import threading

import pytest
from tests.engine import programs as p

import weftrun

pytestmark = pytest.mark.usefixtures("shared_engine")


def test_an_error_keeps_its_type_and_says_where(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match=r"^broken") as caught:
        engine.start(p.fail.options(id="f-1"), "broken").result(60)
    notes = "\n".join(caught.value.__notes__)
    assert "in fail of run f-1" in notes
    assert "programs.py" in notes
    assert "weftrun/guest" not in notes


def test_a_map_fails_with_its_lowest_failing_item(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match=r"^odd 1") as caught:
        engine.run(p.mapped_fails, 50)
    assert any("fail_odd[0].1" in note for note in caught.value.__notes__)


def test_a_failure_that_an_async_body_did_not_look_at_fails_it(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match="nobody looked"):
        engine.run(p.leaves_failure, 1)


def test_an_error_is_retried_as_asked(engine: weftrun.Engine, tmp_path) -> None:
    ledger = tmp_path / "ledger"
    assert engine.run(p.flaky, str(ledger), 3) == 3
    keys = {line.split()[2] for line in ledger.read_text().splitlines()}
    assert len(ledger.read_text().splitlines()) == 3
    assert len(keys) == 1
    with pytest.raises(RuntimeError, match="not yet") as caught:
        engine.run(p.flaky, str(ledger), 9)
    assert any("attempt 4 of 4" in note for note in caught.value.__notes__)


@pytest.mark.parametrize(
    ("function", "args", "text"),
    [
        (p.segfault, (), r"signal 11"),
        (p.hard_exit, (), r"exit code 3"),
        (p.sleepy, (60,), r"longer than timeout_s=0\.2"),
    ],
)
def test_a_sandbox_that_dies_fails_its_attempt(engine: weftrun.Engine, function, args: tuple, text: str) -> None:
    with pytest.raises(weftrun.StepFailed, match=text):
        engine.run(function, *args)
    assert engine.run(p.inc, 1) == 2


def test_a_timeout_is_caught_as_what_its_story_says(engine: weftrun.Engine) -> None:
    with pytest.raises(TimeoutError, match=r"^sleepy ran longer than timeout_s=0\.2"):
        engine.run(p.sleepy, 60)


def test_an_error_keeps_its_type_through_as_many_workflows_as_may_nest(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match=r"^deep") as caught:
        engine.start(p.sunk.options(id="f-2"), 199).result(60)
    where, text = caught.value.__notes__
    assert where.endswith("/sunk[0]/fail[0] of run f-2")
    assert text.count("passed on by sunk") < 201
    with pytest.raises(weftrun.LimitExceeded, match="nested deeper"):
        engine.run(p.sunk, 300)


def test_a_lost_attempt_is_not_repeated_where_the_author_forbade_it(engine: weftrun.Engine, tmp_path) -> None:
    ledger = tmp_path / "ledger"
    with pytest.raises(weftrun.StepFailed, match="signal 11"):
        engine.run(p.segfault_once, str(ledger))
    assert len(ledger.read_text().splitlines()) == 1


def test_exit_and_memory_are_failures_with_their_types(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.StepFailed, match="SystemExit"):
        engine.run(p.leave, 5)
    with pytest.raises(MemoryError):
        engine.run(p.greedy)


def test_a_result_that_cannot_be_pickled_is_named(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.NotSerializable, match=r"result\['conn'\]\[0\]"):
        engine.run(p.unpicklable)


def test_an_argument_that_cannot_be_pickled_is_named(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.NotSerializable, match=r"can't be pickled"):
        engine.run(p.total, [threading.Lock()])


def test_much_text_is_bounded(engine: weftrun.Engine) -> None:
    run = engine.start(p.shout, 20)
    assert run.result(60) == 20
    assert sum(len(entry.text) for entry in run.logs()) < 200_000


def test_misuse_of_a_ref_is_told_with_its_place(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.RefUsedAsValue, match=r"`if`.*needs the value of inc\[0\] \(.*programs\.py:\d+\)"):
        engine.run(p.uses_ref, 1)


def test_a_foreign_awaitable_is_refused(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.UsageError, match="may await only Refs"):
        engine.run(p.foreign)


def test_an_iterator_that_breaks_fails_the_workflow(engine: weftrun.Engine) -> None:
    with pytest.raises(KeyError, match="ended badly"):
        engine.run(p.broken_items, 5_000)


@pytest.mark.parametrize("args", [(), (1, 2), ("a", "b", "c")])
def test_wrong_arguments_are_refused_at_the_call(engine: weftrun.Engine, args: tuple) -> None:
    with pytest.raises(TypeError, match=r"inc\(\)"):
        engine.start(p.inc, *args)


def test_something_that_is_no_function_is_refused(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.UsageError, match="is not a Function"):
        engine.start(len, [1])
