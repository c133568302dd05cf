"""Runs that keep no record (N3): plain calls in Sandboxes, of which nothing is promised and nothing is left."""

from __future__ import annotations

import contextlib
import threading

import pytest
from tests.engine import programs as p

import weftrun
from weftrun.assembly import open_reader
from weftrun.sdk.function import Function


def kept(url: str) -> int:
    """Return how many Runs a Journal has."""
    with contextlib.closing(open_reader(url)) as reader:
        return len(reader.runs(limit=1_000))


def commits(engine: weftrun.Engine) -> int:
    return engine._core.commits


PROGRAMS: list[tuple[Function[..., object], tuple[object, ...], object]] = [
    (p.inc, (1,), 2),
    (p.synced, (1,), 2),
    (p.later, (2,), 4),
    (p.chain, (5,), 5),
]


@pytest.mark.parametrize(("function", "args", "answer"), PROGRAMS, ids=lambda value: getattr(value, "__name__", ""))
def test_an_answer_without_a_record(
    function: Function[..., object], args: tuple[object, ...], answer: object, engine: weftrun.Engine, url: str
) -> None:
    before = commits(engine)
    assert engine.run(function.options(durable=False), *args) == answer
    run = engine.start(function.options(durable=False), *args)
    assert run.result(30) == answer
    assert run.status == "succeeded"
    assert commits(engine) == before
    assert kept(url) == 0
    assert engine.list() == []
    with pytest.raises(weftrun.RunNotFound):
        engine.get(run.id)
    assert engine.run(function, *args) == answer
    assert kept(url) == 1


def test_of_its_steps_and_logs_nothing_is_kept(engine: weftrun.Engine) -> None:
    run = engine.start(p.chain.options(durable=False), 3)
    run.result(30)
    for look in (run.steps, run.logs):
        with pytest.raises(weftrun.UsageError, match="was started with durable=False"):
            look()
    assert run.waiting_for is None


def test_failures_come_as_they_are(engine: weftrun.Engine) -> None:
    with pytest.raises(ValueError, match="no good"):
        engine.run(p.fail.options(durable=False), "no good")
    assert engine.run(p.inc.options(durable=False), 1) == 2


def test_large_values_are_released(engine: weftrun.Engine) -> None:
    data = b"x" * 1_000_000
    assert engine.run(echo_all.options(durable=False), data) == [data, data]


@weftrun.function
def echo(data: bytes) -> bytes:
    return data


@weftrun.workflow
async def echo_all(data: bytes) -> list[bytes]:
    first = await echo.step(data)
    return [echo(first), *await echo.map([first])]


def test_an_id_with_it_is_refused() -> None:
    with pytest.raises(weftrun.PolicyError, match="`id` and `durable=False` exclude each other"):
        p.inc.options(id="x", durable=False)
    with pytest.raises(weftrun.PolicyError, match="`id` and `durable=False` exclude each other"):
        p.inc.options(durable=False).options(id="x")
    assert p.inc.options(durable=False).options(durable=True, id="x").run_id == "x"


def test_it_is_of_a_run_and_not_of_a_step(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.UsageError, match="it is of a whole Run"):
        engine.run(asks_inside, 1)
    with pytest.raises(weftrun.PolicyError, match="it is of one Run: write"):
        weftrun.function(print, name="loud", durable=False)


@weftrun.workflow
def asks_inside(x: int) -> int:
    return p.inc.options(durable=False)(x)


def test_closing_the_engine_ends_it(url: str) -> None:
    engine = weftrun.open(url, sandboxes=1)
    run = engine.start(p.nap.options(durable=False), 30.0)
    errors: list[BaseException] = []

    def wait() -> None:
        try:
            run.result()
        except weftrun.EngineClosed as error:
            errors.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    engine.close(drain_s=0.1)
    waiting.join(30)
    assert "with durable=False it is gone" in str(errors[0])
    with weftrun.open(url, sandboxes=1) as again:
        assert again.list() == []


def test_it_can_be_cancelled(engine: weftrun.Engine) -> None:
    run = engine.start(p.nap.options(durable=False), 30.0)
    run.cancel()
    with pytest.raises(weftrun.RunCancelled):
        run.result(30)
