"""What an error was raised from travels with it, bounded in links and bytes; what is large loses text, not its type."""

from __future__ import annotations

import json
import subprocess
import threading
from typing import Any

import numpy as np
import pytest

from weftrun.model.errors import StepFailed
from weftrun.model.ids import RunId, StepId
from weftrun.model.outcomes import Failure
from weftrun.model.values import Inline
from weftrun.sdk.chain import LINKS_MAX
from weftrun.sdk.failure import error_of, failure_of

BYTES_MAX = 32 * 1024


class Refused(Exception):
    """An error with fields."""

    def __init__(self, code: int, body: Any = None) -> None:
        super().__init__(code, body)
        self.code = code
        self.seen: Any = None


class Several(ExceptionGroup[Exception]):
    def derive(self, excs: Any) -> Several:
        return Several(self.message, excs)


def unpicklable(text: str) -> Exception:
    """Return an error of a class that no other process can have."""

    class Locked(Exception):
        lock = threading.Lock()

    return Locked(text)


def failure(error: BaseException, bytes_max: int = BYTES_MAX) -> Failure:
    return failure_of(error, origin=StepId("a[0]"), attempt=1, attempts=1, bytes_max=bytes_max)


def back(error: BaseException, bytes_max: int = BYTES_MAX) -> Any:
    """Send an error through a Failure, and check the bounds."""
    told = failure(error, bytes_max)
    assert not isinstance(told.error, Inline) or len(told.error.data) <= bytes_max + 1_024
    return error_of(told, run=RunId("r"))


def raised(error: BaseException, *, cause: Any = ..., context: BaseException | None = None) -> BaseException:
    """Raise an error while another one is handled, or from one, and return it."""
    try:
        try:
            if context is not None:
                raise context
        finally:
            if cause is not ...:
                raise error from cause
            raise error
    except BaseException as caught:  # noqa: BLE001
        return caught


# ---------------------------------------------------------------------- causes, contexts, groups


def test_cause_context_and_suppression() -> None:
    one = back(raised(RuntimeError("b"), cause=KeyError("a")))
    assert type(one.__cause__) is KeyError and one.__cause__.args == ("a",)
    assert one.__suppress_context__ and one.__context__ is None
    two = back(raised(RuntimeError("b"), context=Refused(5)))
    assert two.__cause__ is None and not two.__suppress_context__
    assert type(two.__context__) is Refused and two.__context__.code == 5
    three = back(raised(RuntimeError("b"), cause=None, context=KeyError("a")))
    assert three.__cause__ is None and three.__suppress_context__ and type(three.__context__) is KeyError
    four = back(raised(RuntimeError("c"), cause=raised(ValueError("b"), cause=OSError(2, "no")), context=KeyError("x")))
    assert type(four.__cause__.__cause__) is FileNotFoundError and type(four.__context__) is KeyError


def test_an_error_that_is_cause_and_context_is_one() -> None:
    try:
        try:
            raise KeyError("a")
        except KeyError as error:
            raise RuntimeError("b") from error
    except RuntimeError as error:
        one = back(error)
    assert one.__cause__ is one.__context__ and type(one.__cause__) is KeyError


def test_notes_and_fields_of_a_cause_are_kept() -> None:
    cause = Refused(7)
    cause.seen = {"a": 1}
    cause.add_note("a note")
    one = back(raised(RuntimeError("b"), cause=cause)).__cause__
    assert (one.code, one.seen, one.__notes__) == (7, {"a": 1}, ["a note"])


def test_members_of_a_group_keep_theirs() -> None:
    inner = ExceptionGroup("inner", [raised(ValueError("v"), cause=KeyError("k"))])
    group = Several("outer", [TypeError("t"), inner, raised(OSError("o"), context=Refused(1))])
    one = back(group)
    assert type(one) is Several and one.message == "outer" and len(one.exceptions) == 3
    assert type(one.exceptions[1].exceptions[0].__cause__) is KeyError
    assert type(one.exceptions[2].__context__) is Refused
    assert one.exceptions[0].__cause__ is None
    assert one.subgroup(ValueError) is not None


def test_a_group_with_a_member_that_can_not_be_rebuilt() -> None:
    one = back(ExceptionGroup("both", [raised(ValueError("v"), cause=KeyError("k")), unpicklable("a")]))
    assert type(one) is ExceptionGroup and one.message == "both"
    assert type(one.exceptions[0]) is ValueError and type(one.exceptions[0].__cause__) is KeyError
    assert type(one.exceptions[1]) is StepFailed and "Locked: a" in str(one.exceptions[1])


def test_a_link_that_can_not_be_rebuilt_is_told_and_takes_no_other_with_it() -> None:
    one = back(raised(RuntimeError("c"), cause=raised(unpicklable("a"), cause=KeyError("k"))))
    assert type(one) is RuntimeError
    assert type(one.__cause__) is StepFailed and str(one.__cause__).endswith("Locked: a")
    assert type(one.__cause__.__cause__) is KeyError
    two = back(raised(unpicklable("a"), cause=KeyError("k")))
    assert type(two) is StepFailed and "Locked: a" in str(two) and type(two.__cause__) is KeyError
    three = back(raised(SystemExit(3), cause=KeyError("k")))
    assert type(three) is StepFailed and type(three.__cause__) is KeyError


def test_long_chains_and_circles() -> None:
    error: BaseException = ValueError(0)
    for number in range(1, 5_000):
        error = raised(ValueError(number), cause=error)
    one, length = back(error), 0
    assert one.args == (4_999,)
    while one is not None:
        one, length = one.__cause__, length + 1
    assert length == LINKS_MAX
    last = error
    for _ in range(4_999):
        assert last.__cause__ is not None, "the author's own chain is as it was"
        last = last.__cause__
    assert failure(error).traceback.count("ValueError: ") == LINKS_MAX + 1
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    assert "ValueError: 2" in failure(first).traceback
    two = back(first)
    assert two.__cause__.args == ("2",) and two.__cause__.__cause__ is two


def test_the_text_of_the_chain_is_a_note() -> None:
    one = back(raised(RuntimeError("b"), cause=KeyError("a")))
    text = one.__notes__[1]
    assert text.startswith("In the Sandbox:\n") and "KeyError: 'a'" in text and "direct cause" in text


def test_an_error_without_a_chain_is_its_pickle_as_ever() -> None:
    told = failure(ValueError("x"))
    assert isinstance(told.error, Inline) and told.error.data.startswith(b"\0\x80\x05")
    assert b"ValueError" in told.error.data and len(told.error.data) < 60


# ---------------------------------------------------------------------- much text


def test_much_text_is_cut_and_the_type_stays() -> None:
    made = subprocess.CalledProcessError(3, ["make", "all"], output="o" * 10, stderr="begin" + "e" * 40_000 + "end")
    one = back(made)
    assert type(one) is subprocess.CalledProcessError
    assert (one.returncode, one.cmd, one.output) == (3, ["make", "all"], "o" * 10)
    assert one.stderr.startswith("begineee") and one.stderr.endswith("eeeend") and "… (cut) …" in one.stderr
    assert len(one.stderr) < 40_000


@pytest.mark.parametrize(
    "error",
    [
        ValueError("x" * 100_000),
        ValueError(b"x" * 100_000),
        ValueError("é" * 100_000, ["y" * 100_000] * 100),
        KeyError({"a": {"b": ["z" * 100_000]}}),
        OSError(5, "x" * 100_000, "file"),
        json.JSONDecodeError("no", "{" * 100_000, 3),
        UnicodeDecodeError("utf-8", b"\xff" * 100_000, 0, 1, "no"),
        SyntaxError("no", ("f.py", 1, 1, "x" * 100_000)),
        Refused(5, np.zeros(1_000_000)),
        Refused(5, {f"key {number}": list(range(100)) for number in range(1_000)}),
        Refused(5, 10**100_000),
        Refused(5, list(range(100_000))),
        ExceptionGroup("x" * 100_000, [ValueError("y" * 100_000)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_is_large_in_an_error_its_type_stays(error: Exception) -> None:
    for bytes_max in (BYTES_MAX, 2_000):
        one = back(error, bytes_max)
        assert type(one) is type(error)
        assert getattr(one, "code", None) == getattr(error, "code", None)


def test_large_attributes_are_told_by_their_previews() -> None:
    error = Refused(5)
    error.seen = {"rows": np.zeros((1_000, 100)), "name": "kept"}
    one = back(error)
    assert one.seen == {"rows": "<array float64 1000×100>", "name": "kept"}


def test_large_causes_leave_room_for_the_error() -> None:
    one = back(raised(Refused(5, "x" * 40_000), cause=Refused(6, "y" * 40_000)))
    assert (one.code, one.__cause__.code) == (5, 6)
    assert type(one) is type(one.__cause__) is Refused


def test_an_attribute_that_can_not_be_pickled_is_left_out_and_told() -> None:
    error = Refused(5)
    error.seen = threading.Lock()
    one = back(error)
    assert type(one) is Refused and one.code == 5 and not hasattr(one, "seen")
    assert one.__notes__[0] == "without attribute seen (_thread.lock), which can't be pickled and rebuilt"
