"""An error of the author's comes back as its own type with what it held, whatever its `__init__` takes and does."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from tests.sdk import refusals as r

from weftrun import function, workflow
from weftrun.model.ids import RunId, StepId
from weftrun.sdk.codec import decode, encode
from weftrun.sdk.failure import error_of, failure_of


def back(error: BaseException, bytes_max: int = 32_768) -> Any:
    failure = failure_of(error, origin=StepId("a[0]"), attempt=1, attempts=1, bytes_max=bytes_max)
    return error_of(failure, run=RunId("r"))


def held(error: BaseException) -> dict[str, Any]:
    return {name: value for name, value in vars(error).items() if name != "__notes__"}


@pytest.mark.parametrize("case", r.CASES)
def test_it_is_of_its_type_and_holds_what_it_held(case: str) -> None:
    error = r.CASES[case]()
    entered = r.entered
    for one in (back(error), back(back(error))):
        assert type(one) is type(error)
        assert str(one) == str(error)
        assert repr(one.args) == repr(error.args)
        assert repr(held(one)) == repr(held(error))
        for name in ("errno", "filename", "filename2", "object", "start", "reason", "name", "lineno", "slot", "_more"):
            assert getattr(one, name, "unset") == getattr(error, name, "unset"), name
        assert not any("without" in note for note in one.__notes__)
    assert r.entered == entered, "no __init__ was run again"


@pytest.mark.parametrize("case", r.CASES)
def test_it_is_handed_on_as_a_value_where_it_was_caught(case: str) -> None:
    caught = back(r.CASES[case]())
    again = decode(encode([caught], what="the arguments").tobytes())[0]
    assert type(again) is type(caught)
    assert str(again) == str(caught)


@pytest.mark.parametrize("case", r.PARTS)
def test_only_what_can_not_be_pickled_is_left_out(case: str) -> None:
    error, told = r.PARTS[case]()
    one = back(error)
    assert type(one) is type(error)
    assert one.kept == "kept"
    assert one.__notes__[0] == f"without {told}, which can't be pickled and rebuilt"
    assert not hasattr(one, "session")
    assert str(one) == str(error) or "argument" in told


def test_members_and_parts_that_are_errors_themselves() -> None:
    inner = r.NoCar("Oslo", "sold out")
    one = back(r.Several("two of them", [inner, ValueError("v")], 3))
    assert type(one) is r.Several and one.count == 3 and one.message == "two of them"
    assert [type(member) for member in one.exceptions] == [r.NoCar, ValueError]
    assert one.exceptions[0].city == "Oslo"
    assert one.split(r.NoCar)[0].exceptions[0].city == "Oslo"
    two = back(r.Given([inner, {"x": inner}]))
    assert two.args[0][0] is two.args[0][1]["x"] and two.args[0][0].city == "Oslo"


def test_an_error_that_holds_itself() -> None:
    error = r.NoCar("Oslo", "sold out")
    error.me = error  # type: ignore[attr-defined]
    one = back(error)
    assert type(one) is r.NoCar and one.me is one
    other = r.NoCar("Rome", "sold out")
    error.me, other.me, other.lock = other, error, threading.Lock()  # type: ignore[attr-defined]
    assert type(back(error)) is r.NoCar


def test_many_that_hold_each_other_and_can_not_be_pickled_whole() -> None:
    error: Exception = r.Given(threading.Lock())
    for _ in range(60):
        error = r.Holding(error)
    assert type(back(error)) is r.Holding


def test_much_in_it_is_cut_and_nothing_is_lost() -> None:
    error = r.NoCar("Oslo", "sold out")
    for number in range(100):
        setattr(error, f"field_{number}", number)
    error.text = "x" * 100_000  # type: ignore[attr-defined]
    one = back(error)
    assert type(one) is r.NoCar and one.city == "Oslo" and one.field_99 == 99
    assert "… (cut) …" in one.text
    assert type(back(error, 2_000)) is r.NoCar


def test_a_class_that_no_module_has() -> None:
    class Local(Exception):
        def __init__(self, *, city: str) -> None:
            super().__init__(f"no car in {city}")
            self.city = city

    one = back(Local(city="Oslo"))
    assert type(one) is Local and (one.city, str(one)) == ("Oslo", "no car in Oslo")


def test_a_frozen_error_takes_notes() -> None:
    assert back(r.Frozen("Oslo", reason="x")).__notes__[0] == "in a[0] of run r"


# ---------------------------------------------------------------------- local runs


@function(name="rebuilding.raises")
def raises(case: str) -> None:
    error = r.CASES[case]()
    raise error


@workflow(name="rebuilding.catches")
async def catches(case: str) -> str:
    try:
        await raises.step(case)
    except type(r.CASES[case]()) as error:
        return await told.step(error)
    return "not raised"


@function(name="rebuilding.told")
def told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("case", r.CASES)
def test_a_local_run_catches_it_and_hands_it_on(case: str) -> None:
    error = r.CASES[case]()
    assert asyncio.run(catches(case)) == f"{type(error).__name__}: {error}"
