"""Outputs as authors meet them outside of an engine, and what is refused of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.engine import putting as p

import weftrun
from weftrun import function, workflow
from weftrun.model.errors import NotSerializable, PolicyError, UsageError


def test_a_local_run_gives_the_same(tmp_path: Path) -> None:
    first, rest, whole = p.wired(str(tmp_path), "")
    assert (first[0], rest[0], whole) == ([1, "first"], sum(range(100_000)), 7)
    shown, (value, _), whole = asyncio.run(p.watched(str(tmp_path)))
    assert (shown, value, whole) == ([1, "first"], [1, "first"], 7)


def test_a_local_reader_has_what_the_last_attempt_put(tmp_path: Path) -> None:
    for attempt in (1, 2):
        p.said(str(tmp_path), f"{attempt} was read")
    assert p.retried(str(tmp_path)) == [[2, 1], 2]


def test_a_function_that_is_called_by_itself_may_put(tmp_path: Path) -> None:
    assert p.split(str(tmp_path), "") == 7
    with pytest.raises(UsageError, match="forgets has returned without its output 'b'"):
        p.forgets()


@function(effects="none", outputs={"a": int})
def gives(how: str) -> None:
    current = weftrun.current()
    if how == "other":
        current.put("b", 1)
    current.put("a", 1)
    if how == "twice":
        current.put("a", 1)


@function(effects="none", outputs={"a": object})
def unpickled() -> None:
    weftrun.current().put("a", (n for n in range(3)))


@function(effects="none")
def plain() -> None:
    weftrun.current().put("a", 1)


@workflow
def asks(name: str) -> Any:
    return gives.step("").output(name)


@workflow
def puts_itself() -> Any:
    weftrun.current().put("a", 1)
    return gives("")


@workflow
def maps() -> Any:
    return gives.map([""])


def test_what_a_body_may_not_put() -> None:
    with pytest.raises(UsageError, match=r"current\(\).put\('b'\) in gives: it declares 'a'. Declare it on"):
        gives("other")
    with pytest.raises(UsageError, match="for the second time: its readers may have begun with the first value"):
        gives("twice")
    with pytest.raises(NotSerializable, match="The output 'a' of unpickled"):
        unpickled()
    with pytest.raises(UsageError, match=r"it has no outputs\. Declare them on the decorator"):
        plain()
    with pytest.raises(UsageError, match="in the body of puts_itself, a workflow"):
        puts_itself()


def test_what_a_workflow_may_not_ask_for() -> None:
    with pytest.raises(UsageError, match=r"<Ref gives\[0\]> .* has no output 'b': it declares 'a'"):
        asks("b")
    with pytest.raises(UsageError, match=r"gives\.map: gives has outputs, which its callers read by name"):
        maps()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"outputs": {}}, "is not a dict of 1 to 64 outputs"),
        ({"outputs": ["a"]}, "is not a dict of 1 to 64 outputs"),
        ({"outputs": {"a b": int}}, "'a b' is none; give letters"),
        ({"outputs": {"a": int}, "batch": True}, "`outputs` and `batch=True` exclude each other"),
        ({"outputs": {"a": int}, "checkpoint": "none", "effects": "none"}, '`outputs` and `checkpoint="none"` exclude'),
    ],
)
def test_what_no_function_may_declare(policy: dict[str, Any], said: str) -> None:
    with pytest.raises(PolicyError, match=said):
        function(name="never", **policy)(abs)


def test_outputs_belong_to_the_decorator() -> None:
    with pytest.raises(PolicyError, match="`outputs` can't stand here: it says what the code puts"):
        plain.options(outputs={"a": int})  # type: ignore[call-arg]
