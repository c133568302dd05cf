"""A Ref that is compared, hashed or asked for its class takes no branch: the value is not there to choose one by."""

# ruff: noqa: E711, FURB171, PLW0108, SIM300, UP031  # ways to look at a value, as authors write them

from __future__ import annotations

import asyncio
import decimal
import enum
import functools
import json
import threading
from collections import abc
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np
import pytest
from tests.sdk.authors import add
from tests.sdk.test_ref import in_body, refusal

import weftrun
from weftrun import RefUsedAsValue


class Colour(enum.Enum):
    RED = 1


def matched(ref: Any) -> str:
    match ref:
        case 2:
            return "two"
        case Colour.RED:
            return "red"
    return "neither"


def matched_by_class(ref: Any) -> str:
    match ref:
        case int() | str():
            return "a scalar"
    return "something else"


def matched_by_shape(ref: Any) -> str:
    match ref:
        case [_, _]:
            return "a pair"
    return "something else"


@functools.singledispatch
def dispatched(value: object) -> str:
    return "anything"


LOOKED_AT: list[tuple[str, Callable[[Any], Any]]] = [
    ("`==`", lambda r: r == 2),
    ("`==`", lambda r: 2 == r),
    ("`==`", lambda r: r == None),
    ("`==`", lambda r: None == r),
    ("`==`", lambda r: "two" == r),
    ("`isinstance()`", lambda r: decimal.Decimal(2) == r),
    ("`==`", lambda r: r == mock.ANY),
    ("`==`", lambda r: r == Colour.RED),
    ("`==`", lambda r: (1, r) == (1, 2)),
    ("`==`", lambda r: {"k": r} == {"k": 2}),
    ("`!=`", lambda r: r != 2),
    ("`!=`", lambda r: 2 != r),
    ("`==`", lambda r: r in (2, 3)),
    ("`==`", lambda r: 2 in [r]),
    ("`==`", lambda r: [1, 2].index(r)),
    ("`==`", lambda r: [r].count(2)),
    ("`==`", matched),
    ("`==`", lambda r: r == np.arange(3)),
    ("an array", lambda r: np.arange(3) == r),
    ("an array", lambda r: np.isin(r, [1, 2])),
    ("`hash()`", hash),
    ("`hash()`", lambda r: r in {2, 3}),
    ("`hash()`", lambda r: {r}),
    ("`hash()`", lambda r: {2: "two"}.get(r, "none")),
    ("`hash()`", lambda r: {2: "two"}[r]),
    ("`hash()`", lambda r: {r: 1}),
    ("`hash()`", lambda r: functools.cache(str)(r)),
    ("`isinstance()`", lambda r: isinstance(r, int)),
    ("`isinstance()`", lambda r: isinstance(r, str | list)),
    ("`isinstance()`", lambda r: isinstance(r, abc.Mapping)),
    ("`isinstance()`", lambda r: r.__class__ is int),
    ("`isinstance()`", matched_by_class),
    ("`isinstance()`", dispatched),
    ("`isinstance()`", lambda r: json.dumps({"k": r})),
    ("`len()`", matched_by_shape),
    ("an index", lambda r: range(r)),
    ("an index", lambda r: "abc"[r]),
    ("`str()`", lambda r: "%s" % r),
    ("`%`", lambda r: 5 % r),
]


@pytest.mark.parametrize(("begins", "use"), LOOKED_AT)
def test_no_branch_is_taken_for_a_value_that_is_not_there(begins: str, use: Callable[[Any], Any]) -> None:
    error = refusal(use)
    assert isinstance(error, RefUsedAsValue)
    assert str(error).startswith(begins)

    @weftrun.workflow
    async def watching() -> None:
        use(add.step(1))

    with pytest.raises(RefUsedAsValue) as caught:
        asyncio.run(watching())
    assert str(caught.value).startswith(begins)
    assert "write `await add.step(...)` to have its value here" in str(caught.value)


def test_refs_are_told_apart_without_their_values() -> None:
    def use(one: Any) -> Any:
        other = add(2)
        refs = [one, other, add.map([1])]
        found = [refs.index(ref) for ref in refs], other in [one], one == other, one != other
        refs.remove(other)
        return found, len(refs), one is None

    assert in_body(use) == (([0, 1, 2], False, False, True), 2, False)


def test_a_ref_beside_code_that_travels_by_value() -> None:
    @weftrun.function
    def apply(work: Any, value: Any) -> Any:
        return work(value)

    @weftrun.workflow
    def wiring(x: int) -> Any:
        return apply(lambda values: values[0] + 1, [add(x)])

    assert wiring(1) == 3

    @weftrun.workflow
    def unpicklable(x: int) -> Any:
        return apply(lambda value: value, [add(x), {"lock": threading.Lock()}])

    with pytest.raises(weftrun.NotSerializable, match=r"holds a lock at value\[1\]\['lock'\]"):
        unpicklable(1)
