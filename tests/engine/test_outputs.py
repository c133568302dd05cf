"""Outputs that are put before their Step has ended (S1): in this process and on Workers of this host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import putting as p

import weftrun
from weftrun.model.errors import UsageError


@pytest.fixture(scope="module", params=[None, "local:3"], ids=["embedded", "local3"])
def opened(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('outputs') / 'journal.db'}"
    sandboxes = 3 if request.param is None else 1
    with weftrun.open(url, sandboxes=sandboxes, cluster=request.param) as engine:
        yield engine
    assert_closed(url)


def test_a_reader_starts_while_the_producer_goes_on(opened: weftrun.Engine, tmp_path: Path) -> None:
    """The producer ends only when a reader was there, so this ends only if one was there before."""
    run = opened.start(p.wired, str(tmp_path))
    first, rest, whole = run.result(60)
    assert (first[0], rest[0], whole) == ([1, "first"], sum(range(100_000)), 7)
    assert False in (first[1], rest[1])
    steps = {step.id: step for step in run.steps()}
    put = steps["split:first[0]"]
    assert (put.status, put.cause, put.preview) == ("succeeded", "put", '[1, "first"]')
    assert put.entered_at < steps["split[0]"].left_at


def test_a_body_is_shown_an_output_when_it_is_fixed(opened: weftrun.Engine, tmp_path: Path) -> None:
    first, (value, had_ended), whole = opened.run(p.watched, str(tmp_path))
    assert (first, value, had_ended, whole) == ([1, "first"], [1, "first"], False, 7)


def test_a_visible_reader_waits_for_the_record(opened: weftrun.Engine, tmp_path: Path) -> None:
    assert opened.run(p.seen, str(tmp_path)) is True


def test_what_ran_on_a_failed_attempt_is_taken_back(opened: weftrun.Engine, tmp_path: Path) -> None:
    """Every reader, of the output and of what rests on it, has what the Attempt gave that succeeded."""
    run = opened.start(p.retried, str(tmp_path))
    (value, attempt), whole = run.result(60)
    assert (value, whole) == (2, 2)
    assert attempt in (1, 2)  # of the Step behind the reader, which perhaps had not begun
    assert (tmp_path / "1 was read").exists()
    assert {step.id: step.attempts for step in run.steps()}["note[0]"] == 2


def test_a_producer_whose_sandbox_dies_is_entered_again(opened: weftrun.Engine, tmp_path: Path) -> None:
    assert opened.run(p.lost, str(tmp_path)) == [[2], 2]
    assert (tmp_path / "1 was read").exists()


def test_a_reader_fails_with_the_step_that_had_put(opened: weftrun.Engine, tmp_path: Path) -> None:
    assert opened.run(p.caught, str(tmp_path)) == "for good"


def test_an_output_that_is_not_put_fails_the_step(opened: weftrun.Engine) -> None:
    with pytest.raises(UsageError, match="forgets has returned without its output 'b': put it by"):
        opened.run(p.forgetful)


def test_bodies_at_once_put_each_its_own(opened: weftrun.Engine) -> None:
    assert opened.run(p.together, 20) == [[n, -n] for n in range(20)]


@pytest.mark.sweep
def test_with_control_nobody_starts_before_the_end(tmp_path: Path) -> None:
    """`trigger="control"`, and the same values."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with weftrun.open(url, sandboxes=2, trigger="control") as engine:
        first, rest, whole = engine.run(p.wired, str(tmp_path), "")
    assert (first, rest, whole) == (([1, "first"], True), (sum(range(100_000)), True), 7)
    assert_closed(url)
    with pytest.raises(UsageError, match="trigger='flow' is not known: it takes 'data' or 'control'"):
        weftrun.open(url, trigger="flow")


def test_a_run_without_records_has_outputs_too(opened: weftrun.Engine, tmp_path: Path) -> None:
    first, _, whole = opened.run(p.wired.options(durable=False), str(tmp_path))
    assert (first[0], whole) == ([1, "first"], 7)


def test_a_put_that_stands_is_the_same_for_all_attempts(opened: weftrun.Engine) -> None:
    run = opened.start(p.agreed)
    assert run.result(60) == ([3, "of 1"], "of 1")
    steps = {step.id: step for step in run.steps()}
    assert (steps["stands:ticket[0]"].cause, steps["stands[0]"].attempts) == ("fixed", 3)


def test_a_put_that_stands_fits_into_a_record(opened: weftrun.Engine) -> None:
    with pytest.raises(weftrun.LimitExceeded, match=r"has 100,\d+ bytes, more than one record may have"):
        opened.run(p.too_large)
