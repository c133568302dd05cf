"""Errors become Failures and come back as the author's type, with a note on where."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from tests.sdk.authors import fail

from weftrun.model.errors import (
    LimitExceeded,
    NotSerializable,
    RefUsedAsValue,
    ReplayDiverged,
    RunCancelled,
    StepFailed,
    StepTimedOut,
    UsageError,
)
from weftrun.model.ids import RunId, StepId
from weftrun.model.outcomes import Failure, Reason
from weftrun.sdk.failure import error_of, failure_of

RUN = RunId("books-1")


class Own(Exception):
    def __init__(self, path: str, code: int) -> None:
        super().__init__(path, code)
        self.path = path


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError


def made(error: BaseException, bytes_max: int = 10_000, reason: Reason | None = None) -> Failure:
    try:
        raise error
    except BaseException as caught:  # noqa: BLE001
        return failure_of(caught, origin=StepId("count[3]"), attempt=2, attempts=3, bytes_max=bytes_max, reason=reason)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("x"), Reason.RAISED),
        (MemoryError(), Reason.MEMORY),
        (NotSerializable("x"), Reason.UNREADABLE),
        (RefUsedAsValue("x"), Reason.MISUSE),
        (UsageError("x"), Reason.MISUSE),
        (LimitExceeded("x"), Reason.MISUSE),
        (SystemExit(1), Reason.RAISED),
    ],
)
def test_reasons(error: BaseException, reason: Reason) -> None:
    assert made(error).reason is reason
    assert made(error, reason=Reason.LOST).reason is Reason.LOST


def test_an_error_keeps_its_type_its_fields_and_its_notes() -> None:
    error = Own("a.txt", 5)
    error.add_note("the author's note")
    failure = made(error)
    assert failure.type == f"{__name__}.Own"
    back = error_of(failure, run=RUN)
    assert isinstance(back, Own)
    assert back.path == "a.txt"
    notes = back.__notes__
    assert notes[:2] == ["the author's note", "in count[3] of run books-1, attempt 2 of 3"]
    assert notes[2].startswith("In the Sandbox:\nTraceback (most recent call last):")
    assert "attempt" not in error_of(Failure(Reason.RAISED, "E", "x", origin=StepId("a[0]")), run=RUN).__notes__[0]


class Abort(BaseException): ...


def unpicklable() -> Exception:
    """Return an error of a class that no other process can have."""

    class Locked(Exception):
        lock = threading.Lock()

    return Locked("x")


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (unpicklable(), "can't be pickled: cannot pickle '_thread.lock' object."),
        (SystemExit(3), "SystemExit is no Exception, and would end whoever asks for the value."),
        (KeyboardInterrupt(), "KeyboardInterrupt is no Exception, and would end whoever asks for the value."),
        (Abort("x"), "Abort is no Exception, and would end whoever asks for the value."),
    ],
)
def test_what_can_not_be_rebuilt_is_told_and_why(error: BaseException, why: str) -> None:
    back = error_of(made(error), run=RUN)
    assert type(back) is StepFailed
    assert type(error).__qualname__ in str(back)
    assert "Traceback" in str(back)
    *_, last = str(back).splitlines()
    assert last.startswith("It comes as a StepFailed, because it can't be rebuilt: ") and last.endswith(why)


def test_what_can_not_be_rebuilt_where_it_is_asked_for_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, with_cause = made(Own("a.txt", 5)), Own("a.txt", 5)
    with_cause.__cause__ = KeyError("k")
    chained = made(with_cause)
    monkeypatch.delattr(f"{__name__}.Own")
    for failure in (alone, chained):
        back = error_of(failure, run=RUN)
        assert type(back) is StepFailed and f"{__name__}.Own: ('a.txt', 5)" in str(back)
        assert "It comes as a StepFailed, because it can't be rebuilt: AttributeError: " in str(back)
    assert type(back.__cause__) is KeyError


def test_an_error_made_in_a_function_is_rebuilt_by_value() -> None:
    class Local(Exception): ...

    back = error_of(made(Local("x")), run=None)
    assert type(back).__name__ == "Local"
    assert back.__notes__[0] == "in count[3], attempt 2 of 3"


def test_bounds() -> None:
    failure = made(ValueError("é" * 100_000), bytes_max=2_000)
    assert len(failure.error.data) <= 2_000
    assert len(failure.message.encode()) <= 2_000
    assert "… (cut) …" in failure.message
    assert len(failure.traceback.encode()) <= 2_000
    back = error_of(failure, run=RUN)
    assert type(back) is ValueError
    assert "… (cut) …" in str(back)
    assert made(Mute()).message == "<Mute whose text can't be made>"


def test_the_traceback_has_the_author_s_frames_only() -> None:
    def inner() -> Any:
        return fail("x")

    try:
        try:
            inner()
        except ValueError as cause:
            raise RuntimeError("outer") from cause
    except RuntimeError as error:
        text = failure_of(error, origin=StepId("a"), attempt=1, attempts=1, bytes_max=10_000).traceback
    assert "weftrun/sdk/" not in text
    assert "in inner" in text
    assert "raise ValueError(text)" in text
    assert "The above exception was the direct cause" in text


def test_a_cause_that_leads_back_to_itself() -> None:
    one, two = ValueError("1"), ValueError("2")
    one.__cause__, two.__cause__ = two, one
    assert "ValueError: 1" in made(one).traceback


@pytest.mark.parametrize(
    ("reason", "kind"),
    [
        (Reason.CANCELLED, RunCancelled),
        (Reason.DIVERGED, ReplayDiverged),
        (Reason.MISUSE, UsageError),
        (Reason.LOST, StepFailed),
        (Reason.TIMEOUT, StepTimedOut),
    ],
)
def test_failures_of_the_engine(reason: Reason, kind: type[Exception]) -> None:
    back = error_of(Failure(reason, "X", "the text"), run=RUN)
    assert type(back) is kind
    assert str(back) == "the text"
    assert back.__notes__ == ["in a Step of run books-1"]


def writes_to(values: Any) -> None:
    values[0] = 1


def test_who_writes_to_a_shared_value_is_told_of_copy() -> None:
    array = np.arange(3)
    array.flags.writeable = False
    for values in (array, memoryview(b"123")):
        try:
            writes_to(values)
        except (ValueError, TypeError) as error:
            failure_of(error, origin=StepId("a"), attempt=1, attempts=1, bytes_max=10_000)
            failure = failure_of(error, origin=StepId("a"), attempt=1, attempts=1, bytes_max=10_000)
        assert failure.traceback.count("write to a copy, `x.copy()`") == 1
        assert "write to a copy, `x.copy()`" in error_of(failure, run=RUN).__notes__[0]
    assert "`x.copy()`" not in made(ValueError("a file is read-only here")).traceback


def test_a_step_that_ran_too_long_is_caught_as_the_timeout_that_it_is() -> None:
    back = error_of(Failure(Reason.TIMEOUT, "TimeoutError", "slow ran longer than timeout_s=0.1"), run=RUN)
    assert isinstance(back, TimeoutError)
    assert isinstance(back, StepFailed)
    assert str(back) == "slow ran longer than timeout_s=0.1"


def test_a_limit_of_the_engine_s_is_a_limit_for_the_author() -> None:
    assert type(error_of(Failure(Reason.MISUSE, "LimitExceeded", "too many"), run=RUN)) is LimitExceeded


def test_the_traceback_of_what_can_not_be_rebuilt_is_told_once() -> None:
    back = error_of(made(SystemExit(3)), run=RUN)
    assert str(back).count("Traceback") == 1
    assert back.__notes__ == ["in count[3] of run books-1, attempt 2 of 3"]


def passed_on(failure: Failure, by: str, *, run: RunId = RUN) -> Failure:
    """Raise the error of a Failure in a body, which lets it through."""
    try:
        raise error_of(failure, run=RUN)
    except BaseException as caught:  # noqa: BLE001
        return failure_of(caught, origin=StepId(by), attempt=1, attempts=1, bytes_max=32_768, run=run)


def test_an_error_that_passes_through_bodies_stays_the_failure_of_its_step() -> None:
    first = failure = made(Own("a.txt", 5), bytes_max=32_768)
    for depth in range(200):
        failure = passed_on(failure, f"level[{depth}]")
    back = error_of(failure, run=RUN)
    assert isinstance(back, Own)
    assert back.__notes__[0] == "in count[3] of run books-1, attempt 2 of 3"
    assert (failure.origin, failure.attempt, failure.message) == (first.origin, first.attempt, first.message)
    assert failure.error == passed_on(first, "level[0]").error
    added = failure.traceback.removeprefix(first.traceback).splitlines()
    assert len(added) == 200
    assert added[7].startswith(f'passed on by level[7], File "{__file__}", line ')


def test_what_an_author_puts_on_an_error_that_passes_through_is_kept() -> None:
    error = error_of(made(Own("a.txt", 5)), run=RUN)
    error.add_note("seen by the workflow")
    failure = failure_of(error, origin=StepId("level"), attempt=1, attempts=1, bytes_max=10_000, run=RUN)
    assert error_of(failure, run=RUN).__notes__[:2] == [
        "seen by the workflow",
        "in count[3] of run books-1, attempt 2 of 3",
    ]


def test_what_passes_through_unbuilt_or_from_another_run() -> None:
    lost = Failure(Reason.LOST, "SandboxLost", "it ended", origin=StepId("a[0]"))
    assert passed_on(lost, "level").reason is Reason.LOST
    other = passed_on(made(Own("a.txt", 5)), "level", run=RunId("other"))
    assert (other.origin, other.reason) == (StepId("level"), Reason.RAISED)
