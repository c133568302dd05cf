"""A workflow's body that goes on without an await harms nobody but itself, and not for long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine import endless as e
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader
from weftrun.model.records import AttemptFailed


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('endless') / 'journal.db'}"


@pytest.fixture(scope="module")
def engine(url: str) -> Iterator[weftrun.Engine]:
    """One engine for all: what one test leaves behind in it must not harm the next."""
    with weftrun.open(url, sandboxes=2) as opened:
        yield opened
    assert_closed(url)


def lost_attempts(url: str, run: weftrun.Run) -> list[AttemptFailed]:
    reader = open_reader(url)
    try:
        info = reader.find(run.id)
        assert info is not None
        records = [record for row in reader.load(info.uid) for record in row.records]
    finally:
        reader.close()
    return [record for record in records if isinstance(record, AttemptFailed)]


def test_each_of_them_fails_with_its_line_and_the_others_go_on(
    engine: weftrun.Engine, url: str, tmp_path: Path
) -> None:
    """All at once, with one body that waits in the same Sandbox: it does not lose an Attempt."""
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    waiting = engine.start(e.waits, str(go))
    culprits = [engine.start(culprit.options(id=culprit.__name__), str(ledger)) for culprit in e.CULPRITS]
    assert engine.run(e.counts, 5) == 5
    for culprit, run in zip(e.CULPRITS, culprits, strict=True):
        name = culprit.__name__
        with pytest.raises(weftrun.StepTimedOut) as caught:
            run.result(60)
        assert f"the body of {name} (tests.engine.endless:{name}) has run since " in str(caught.value)
        assert f" longer than body_timeout_s={e.SOON_S:g}; the last line" in str(caught.value)
        assert "move what computes or waits into a Function, or raise body_timeout_s" in str(caught.value)
        where = "__del__" if name == "lets_go" else name
        assert f"{e.__file__}:" in str(caught.value)
        assert f" in {where}: move" in str(caught.value)
        assert not lost_attempts(url, run)
    go.touch()
    assert waiting.result(60) == str(go)
    assert not lost_attempts(url, waiting)
    entered = ledger.read_text().split()
    assert {culprit.__name__ for culprit in e.CULPRITS} == set(entered)


def test_it_fails_once_and_is_not_entered_again(engine: weftrun.Engine, url: str, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    run = engine.start(e.sleeps.options(id="once"), str(ledger))
    with pytest.raises(weftrun.StepTimedOut) as first:
        run.result(60)
    with weftrun.open(url, sandboxes=1) as another, pytest.raises(weftrun.StepTimedOut) as again:
        another.run(e.sleeps.options(id="once"), str(ledger))
    assert str(first.value) == str(again.value)
    assert ledger.read_text() == "sleeps\n"


def test_others_go_on_while_it_computes_and_a_cancel_ends_it(engine: weftrun.Engine, tmp_path: Path) -> None:
    """Its time is not over for long: the others do not wait for that."""
    sign = tmp_path / "sign"
    run = engine.start(e.computes, str(sign))
    until(sign.exists)
    assert [engine.start(e.counts, 3).result(60) for _ in range(3)] == [3, 3, 3]
    assert run.status == "running"
    run.cancel()
    with pytest.raises(weftrun.RunCancelled):
        run.result(60)
    assert engine.run(e.counts, 3) == 3


@pytest.mark.sweep
def test_a_body_that_goes_on_when_it_is_cancelled_holds_nobody_up(engine: weftrun.Engine) -> None:
    run = engine.start(e.spins_at_its_end)
    until(lambda: any(step.status == "running" for step in run.steps()) or run.status != "running")
    run.cancel()
    with pytest.raises(weftrun.RunCancelled):
        run.result(60)
    assert engine.run(e.counts, 3) == 3
