"""Events that a Run publishes, and those who watch it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.sdk import publishing as p

import weftrun
from weftrun.assembly import open_engine
from weftrun.model.errors import LimitExceeded, NotSerializable, RefUsedAsValue, UsageError


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('published')}/journal.db"
    with open_engine(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


def test_they_are_seen_in_their_order_while_the_run_goes_on(engine):
    """Those that begin later see the same ones, also when the Run has ended; of each name its own."""
    run = engine.start(p.reports)
    seen = []
    for value in run.watch("progress", float, timeout_s=60):
        seen.append(value)
        if value == 0.5:
            assert run.status == "running"
            run.signal("go")
    assert seen == [0.0, 0.5, 1.0]
    assert run.result(60) == "done"
    assert list(run.watch("progress")) == seen
    assert list(engine.get(run.id).watch("stage")) == [{"name": "begin"}]
    assert list(run.watch("nothing")) == []


def test_nothing_came_in_time(engine):
    run = engine.start(p.waits)
    events = run.watch("progress", timeout_s=0.2)
    assert next(events) == 0.0
    with pytest.raises(TimeoutError, match=r"published no further 'progress' within 0\.2 s; it goes on"):
        next(events)
    run.signal("go")
    assert run.result(60) is None


def test_what_does_not_fit_is_told(engine):
    run = engine.start(p.reports)
    run.signal("go")
    run.result(60)
    with pytest.raises(TypeError, match=r"The event 'stage' holds .*, which is no int"):
        list(run.watch("stage", int))
    with pytest.raises(UsageError, match="is no name"):
        run.watch("no spaces")
    with pytest.raises(UsageError, match="durable=False"):
        engine.start(p.waits.options(durable=False)).watch("progress")


@pytest.mark.parametrize(("what", "error"), [("large", LimitExceeded), ("socket", NotSerializable), ("ref", Exception)])
def test_what_can_not_be_published_is_told(engine, what, error):
    with pytest.raises(error) as caught:
        engine.run(p.wrong, what)
    if what == "ref":
        assert isinstance(caught.value, (RefUsedAsValue, UsageError, NotSerializable)), caught.value


def test_outside_of_a_body_it_says_what_to_do():
    with pytest.raises(UsageError, match="outside of a workflow's body"):
        weftrun.publish("progress", 1)


def test_in_a_unit_test_nothing_is_published():
    assert asyncio.run(p.quick()) == 4


def test_a_replay_publishes_nothing_twice(tmp_path: Path):
    """The Run waits without an engine; another one replays its body."""
    url = f"sqlite:///{tmp_path}/journal.db"
    with open_engine(url, sandboxes=1) as first:
        run = first.start(p.waits.options(id="r"))
        assert next(run.watch("progress", timeout_s=60)) == 0.0
    with open_engine(url, sandboxes=1) as second:
        run = second.get("r")
        run.signal("go")
        run.result(60)
        assert list(run.watch("progress")) == [0.0, 1.0]
    assert_closed(url)
