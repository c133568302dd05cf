"""Errors of local runs are those that an engine would give: through the serialiser, with their chains."""

from __future__ import annotations

import asyncio
import subprocess
import traceback
from typing import Any

import numpy as np
import pytest
from tests.engine import untold as u

import weftrun
from weftrun import StepFailed, function, workflow


class Seen(Exception):
    pass


@function(name="local_errors.chained")
def chained() -> None:
    try:
        raise KeyError("a")
    except KeyError as error:
        raise Seen("b") from error


@function(name="local_errors.talkative")
def talkative() -> None:
    raise subprocess.CalledProcessError(1, ["x"], stderr="e" * 40_000)


@function(name="local_errors.noted")
def noted() -> None:
    error = ValueError("x", np.zeros(10))
    error.add_note("the author's")
    raise error


@workflow
def wires(of: weftrun.Function[..., Any], *args: Any) -> Any:
    return of(*args)


def caught(of: Any, *args: Any) -> BaseException:
    """Return what a local run of a workflow that calls `of` raises."""
    try:
        wires(of, *args)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


def test_causes_and_frames_are_kept() -> None:
    error = caught(chained)
    assert type(error) is Seen and type(error.__cause__) is KeyError and error.__suppress_context__
    text = "".join(traceback.format_exception(error))
    assert text.count(__file__) >= 3, "the author's frames of both errors"
    assert error.__notes__ == ["in chained[0] of a local run"]


def test_much_text_is_cut_as_in_the_engine() -> None:
    error = caught(talkative)
    assert isinstance(error, subprocess.CalledProcessError)
    assert error.returncode == 1 and "… (cut) …" in error.stderr


def test_the_author_s_notes_do_not_hide_where() -> None:
    error = caught(noted)
    assert error.__notes__ == ["the author's", "in noted[0] of a local run"]


@pytest.mark.parametrize("case", u.ERRORS)
def test_what_can_hardly_be_told_is_told_as_in_the_engine(case: str) -> None:
    kind = case.partition(":")[0]
    expected = "KeyboardInterrupt" if case == "StepFailed: interrupt" else kind  # whoever runs it has pressed Ctrl-C
    assert type(caught(u.raises, case, "/dev/null")).__name__ == expected
    if case not in ("StepFailed: interrupt", "ClassExits: ", "NothingToSee: "):
        assert type(caught(u.raises_async, case, "/dev/null")).__name__ == expected


@pytest.mark.parametrize("case", [case for case in u.RESULTS if "interrupts" not in case])
def test_results_are_told_as_in_the_engine(case: str) -> None:
    kind = case.partition(":")[0]
    if kind == "fine":
        assert u.wiring_gives(case, "/dev/null") is not None
        assert wires(u.gives, case, "/dev/null") is not None
    else:
        assert type(caught(u.gives, case, "/dev/null")).__name__ == kind


def test_an_error_of_the_workflow_itself() -> None:
    with pytest.raises(StepFailed, match="SystemExit: text") as told:
        u.wiring_raises("StepFailed: exit", "/dev/null")
    assert told.value.__notes__ == ["in wiring_raises of a local run"]
    with pytest.raises(KeyboardInterrupt):
        u.wiring_raises("StepFailed: interrupt", "/dev/null")


def test_an_error_of_a_body_has_the_context_that_it_had_there() -> None:
    @workflow
    async def forgets() -> None:
        try:
            await chained.step()
        except Seen:
            pass
        raise RuntimeError("later")

    @workflow
    async def translates() -> None:
        try:
            await chained.step()
        except Seen as error:
            raise RuntimeError("of it") from error

    with pytest.raises(RuntimeError, match="later") as later:
        asyncio.run(forgets())
    assert later.value.__context__ is None
    with pytest.raises(RuntimeError, match="of it") as of_it:
        asyncio.run(translates())
    assert type(of_it.value.__cause__) is Seen and type(of_it.value.__cause__.__cause__) is KeyError


def test_a_child_s_error_names_the_step_that_raised_it() -> None:
    @workflow
    def inner() -> None:
        return chained()

    @workflow
    def outer() -> None:
        return inner()

    with pytest.raises(Seen) as told:
        outer()
    assert told.value.__notes__ == ["in inner[0]/chained[0] of a local run"]
