"""Errors and results that can hardly be told: each is one outcome of one Attempt, and the Sandbox goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import assert_closed
from tests.engine import untold as u

import weftrun

WAIT_S = 60
HARDEST = (
    "ValueError: surrogate", "ValueError: huge int", "ValueError: notes are objects", "TextExits: ", "NotesExit: ",
    "ClassExits: ", "NothingToSee: ", "RebuildExits: ", "StepFailed: nameless",
    "OddlyNamed: ", "StepFailed: exit", "StepFailed: interrupt", "StepFailed: generator", "IsFalse: ",
)  # fmt: skip


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weftrun.Engine]:
    url = f"sqlite:///{tmp_path_factory.mktemp('untold') / 'journal.db'}"
    with weftrun.open(url, sandboxes=1) as opened:
        before = opened.run(u.pid), opened.run(u.pid_of_bodies)
        yield opened
        assert (opened.run(u.pid), opened.run(u.pid_of_bodies)) == before, "the Sandboxes live on"
    assert_closed(url)


def outcome(engine: weftrun.Engine, function: Any, case: str, ledger: Path) -> str:
    """Run a case and return the name of the error's class that comes out, or `fine`; its body is entered once."""
    run = engine.start(function, case, str(ledger))
    try:
        run.result(WAIT_S)
        said = "fine"
    except BaseException as error:  # noqa: BLE001
        said = type(error).__name__
    assert ledger.read_bytes() == b"x", "the body was entered once"
    has_value = said == "fine" or "read " in case
    assert run.status == ("succeeded" if has_value else "failed")
    return said


def kind(case: str) -> str:
    return case.partition(":")[0]


@pytest.mark.parametrize("case", u.ERRORS)
def test_an_error_that_can_hardly_be_told(engine: weftrun.Engine, case: str, tmp_path: Path) -> None:
    assert outcome(engine, u.raises, case, tmp_path / "ledger") == kind(case)


@pytest.mark.parametrize("case", HARDEST)
@pytest.mark.parametrize("function", [u.wiring_raises, u.watching_raises, u.lets_through, u.maps_raises])
def test_it_is_the_same_in_bodies_and_items(engine: weftrun.Engine, function: Any, case: str, tmp_path: Path) -> None:
    assert outcome(engine, function, case, tmp_path / "ledger") == kind(case)


@pytest.mark.parametrize("case", [case for case in HARDEST if case not in ("ClassExits: ", "NothingToSee: ")])
def test_it_is_the_same_in_an_async_function(engine: weftrun.Engine, case: str, tmp_path: Path) -> None:
    assert outcome(engine, u.raises_async, case, tmp_path / "ledger") == kind(case)


@pytest.mark.parametrize("case", u.RESULTS)
@pytest.mark.parametrize("function", [u.gives, u.wiring_gives, u.maps_gives])
def test_a_result_that_can_hardly_be_told(engine: weftrun.Engine, function: Any, case: str, tmp_path: Path) -> None:
    assert outcome(engine, function, case, tmp_path / "ledger") == kind(case)


def test_retries_are_as_many_as_were_asked_for(engine: weftrun.Engine, tmp_path: Path) -> None:
    for case in ("ValueError: surrogate", "NotesExit: "):
        ledger = tmp_path / kind(case)
        chosen = u.raises.options(retries=weftrun.Retry(2, delay_s=0))
        with pytest.raises((ValueError, u.NotesExit)):
            engine.run(chosen, case, str(ledger))
        assert ledger.read_bytes() == b"xxx"


def test_what_is_no_text_is_told_by_its_escape(engine: weftrun.Engine) -> None:
    run = engine.start(u.raises.options(id="told"), "ValueError: surrogate", "/dev/null")
    with pytest.raises(ValueError, match="caf\udce9") as caught:
        run.result(WAIT_S)
    assert r"ValueError: caf\udce9" in caught.value.__notes__[1]
    shown = engine.start(u.gives, "fine: repr with a surrogate", "/dev/null")
    shown.result(WAIT_S)
    assert shown.steps()[0].preview == r"caf\udce9"


def test_what_is_printed_is_kept(engine: weftrun.Engine) -> None:
    run = engine.start(u.prints)
    run.result(WAIT_S)
    text = "".join(entry.text for entry in run.logs())
    for line in ("a\0b caf\\udce9\n", "\ncaf\\udce9\n", "log caf\\udce9\0\n", "raw \N{REPLACEMENT CHARACTER}\0\n"):
        assert line in text


@pytest.mark.parametrize("key", [u.NO_TEXT, 10**30, -(10**30)])
def test_a_subscript_that_no_record_can_hold_is_refused(engine: weftrun.Engine, key: int | str) -> None:
    with pytest.raises(weftrun.RefUsedAsValue, match="which no record can hold, needs the value of gives"):
        engine.run(u.takes_a_part, key)


def test_a_value_that_cannot_be_read_can_be_caught_where_it_is_awaited(engine: weftrun.Engine, tmp_path: Path) -> None:
    ledger = str(tmp_path / "ledger")
    assert "invalid literal" in engine.run(u.catches_what_cannot_be_read, "ValueError: read fails", ledger)


def test_what_cannot_be_read_says_where(engine: weftrun.Engine, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="invalid literal") as mine:
        engine.start(u.gives.options(id="mine"), "ValueError: read fails", str(tmp_path / "mine")).result(WAIT_S)
    assert mine.value.__notes__ == ["raised while the value of run mine was read, which has succeeded"]
    with pytest.raises(ValueError, match="invalid literal") as step:
        engine.run(u.hands_on, "ValueError: read fails", str(tmp_path / "step"))
    assert step.value.__notes__[0].startswith("raised before reads[0] was entered")
    with pytest.raises(weftrun.NotSerializable, match="can be pickled, but not read again: that raises SystemExit"):
        engine.run(u.hands_on, "NotSerializable: read exits", str(tmp_path / "exits"))


def test_payloads_that_are_no_text(engine: weftrun.Engine) -> None:
    for payload in (u.NO_TEXT, {u.NO_TEXT: 1}, [u.HUGE]):
        with pytest.raises(weftrun.NotSerializable, match="The payload emitted to 'nowhere' is no"):
            engine.run(u.emits, payload)


def test_statements_that_are_no_text(engine: weftrun.Engine) -> None:
    for sql, parameters in (("SELECT ?", (u.NO_TEXT,)), (f"SELECT '{u.NO_TEXT}'", ())):
        with pytest.raises(weftrun.StatementRefused, match="holds a lone surrogate"):
            engine.run(u.says, sql, parameters)


def test_a_sink_that_says_what_no_record_can_hold(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    sink = u.deliver_oddly(url)
    with pytest.raises(weftrun.UsageError, match="a sink's name is printable text"):
        weftrun.open(url, sinks={u.NO_TEXT: sink})


@pytest.mark.parametrize("id", [u.NO_TEXT, "a\0b", "", "x" * 10_000, "\n"])
def test_an_id_that_no_run_can_have_is_not_found(engine: weftrun.Engine, id: str) -> None:
    with pytest.raises(weftrun.RunNotFound):
        engine.get(id)
    if id:
        with pytest.raises(weftrun.UsageError, match="can't be the id of a Run"):
            engine.start(u.pid.options(id=id))


def check_chain(error: Any) -> None:
    assert type(error.__cause__) is KeyError and error.__suppress_context__
    assert [type(member) for member in error.exceptions] == [ValueError, TypeError]
    assert type(error.exceptions[0].__cause__) is FileNotFoundError


def test_what_an_error_was_raised_from_is_kept_for_good(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with weftrun.open(url, sandboxes=1) as engine:
        with pytest.raises(ExceptionGroup) as first:
            engine.run(u.chained.options(id="one"))
        check_chain(first.value)
        with pytest.raises(ExceptionGroup) as second:
            engine.run(u.translates.options(id="two"))
        assert second.value.subgroup(OSError) is None
    with weftrun.open(url, sandboxes=1) as engine:
        with pytest.raises(ExceptionGroup) as again:
            engine.get("one").result(WAIT_S)
        check_chain(again.value)
        with pytest.raises(ExceptionGroup) as twice:
            engine.get("two").result(WAIT_S)
    translated = next(one for one in twice.value.exceptions if isinstance(one.__cause__, ExceptionGroup))
    assert str(translated) == "translated" and type(translated.__cause__.exceptions[0]) is TypeError
    with pytest.raises(ExceptionGroup) as local:
        asyncio.run(u.translates())
    assert [type(one) for one in local.value.exceptions] == [type(one) for one in twice.value.exceptions]
