"""A Ref is a handle and never a value: every special method of the data model says so, with file and line."""

from __future__ import annotations

import copy
import math
import operator
import os
import pickle
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tests.sdk.authors import add, body_of, pair, total

import weftrun
from weftrun.model.errors import RefUsedAsValue, UsageError
from weftrun.sdk.body import Raised, Returned

USES: dict[str, Callable[[Any], Any]] = {
    "`if`": bool,
    "`if` (": lambda r: not r,
    "`len()`": len,
    "`in`": lambda r: 1 in r,
    "`reversed()`": reversed,
    "`str()`": str,
    "an f-string": lambda r: f"{r}",
    "a format": lambda r: format(r, ">3"),
    "`bytes()`": bytes,
    "`int()`": int,
    "`float()`": float,
    "`complex()`": complex,
    "an index": lambda r: [1, 2][r],
    "`round()`": round,
    "`round()` needs": math.ceil,
    "`round()` needs the": math.floor,
    "`int()` needs": math.trunc,
    "`abs()`": abs,
    "`-x`": operator.neg,
    "`+x`": operator.pos,
    "`~x`": operator.invert,
    "`<`": lambda r: r < 1,
    "`<=`": lambda r: r <= 1,
    "`>`": lambda r: r > 1,
    "`>=`": lambda r: r >= 1,
    "`>` needs": lambda r: r > 1,
    "`<` needs": lambda r: sorted([r, r]),
    "`next()`": next,
    "iterating": list,
    "iterating or unpacking": lambda r: [*r],
    "calling it": lambda r: r(),
    "`with`": lambda r: r.__enter__(),
    "`async with`": lambda r: r.__aenter__(),
    "`async for`": aiter,
    "setting an item": lambda r: operator.setitem(r, 0, 1),
    "deleting an item": lambda r: operator.delitem(r, 0),
    "`.shape`": lambda r: r.shape,
    "setting `.x`": lambda r: setattr(r, "x", 1),
    "deleting `.x`": lambda r: delattr(r, "x"),
    "an array": np.asarray,
    "an array needs": lambda r: np.zeros(2) + r,
    "a path": os.fspath,
    "`copy()`": copy.copy,
    "`copy()` needs": copy.deepcopy,
    "`ref[": lambda r: r[1:2],
    "`divmod()`": lambda r: divmod(r, 2),
    "`divmod()` needs": lambda r: divmod(2, r),
}
BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "lshift", "rshift", "and_", "or_", "xor"]
SIGNS = ["+", "-", "*", "/", "//", "%", "**", "@", "<<", ">>", "&", "|", "^"]
for stem, sign in zip(BINARY, SIGNS, strict=True):
    plain, inplace = getattr(operator, stem), getattr(operator, "i" + stem.rstrip("_"))
    USES[f"`{sign}`"] = lambda r, f=plain: f(r, 1)
    USES[f"`{sign}` needs"] = lambda r, f=plain: f(1, r)
    USES[f"`{sign}` needs the"] = lambda r, f=inplace: f(r, 1)


def refusal(use: Callable[[Any], Any], function: weftrun.Function[..., Any] = add) -> BaseException:
    @weftrun.workflow
    def wiring() -> None:
        use(function(1))

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Raised), "nothing was refused"
    return turn.error


@pytest.mark.parametrize("begins", USES)
def test_every_use_as_a_value_is_refused_by_name(begins: str) -> None:
    error = refusal(USES[begins])
    assert isinstance(error, RefUsedAsValue)
    assert isinstance(error, TypeError)
    text = str(error)
    assert begins in text
    assert re.search(r" needs the value of add\[0\] \(tests/sdk/test_ref\.py:\d+\), but inside workflow wiring ", text)


def test_the_most_read_text() -> None:
    @weftrun.workflow
    def wordcount() -> int:
        count = add(1)
        return 1 if count else 2

    code = wordcount.callable.__code__
    turn = body_of(wordcount)[0].enter()
    assert isinstance(turn, Raised)
    assert str(turn.error) == (
        "`if` (or `while`, `not`, `and`, `or`) needs the value of add[0] "
        f"(tests/sdk/test_ref.py:{code.co_firstlineno + 2}), but inside workflow wordcount that call gave a Ref: "
        "its Step has not run yet. A `def` workflow only wires "
        "Steps: make it `async def` and write `await add.step(...)`, or move this line into a Function."
    )


def test_in_an_async_workflow_the_text_says_await() -> None:
    @weftrun.workflow
    async def looking() -> int:
        return 1 + add(1)

    turn = body_of(looking)[0].enter()
    assert isinstance(turn, Raised)
    assert str(turn.error).endswith(
        "gave a Ref: write `await add.step(...)` to have its value here, or move this line into a Function."
    )


def in_body(use: Callable[[Any], Any], function: weftrun.Function[..., Any] = add) -> Any:
    got = []

    @weftrun.workflow
    def wiring() -> None:
        got.append(use(function(1)))

    turn = body_of(wiring)[0].enter()
    if isinstance(turn, Raised):
        raise turn.error
    return got[0]


def test_what_a_ref_can_do() -> None:
    assert in_body(repr) == "<Ref add[0]>"
    assert in_body(lambda r: repr(r[0]["a"])) == "<Ref add[0][0]['a']>"
    assert in_body(lambda r: r == r and [r].index(r) == 0) is True
    assert in_body(lambda r: r.out is r) is True
    assert in_body(lambda r: hasattr(r, "__len__") and not hasattr(r, "__array_interface__")) is True
    assert in_body(lambda r: isinstance(r, weftrun.Ref) and not isinstance(r, weftrun.Mapped)) is True
    assert in_body(lambda r: isinstance(r, (weftrun.Ref, int)) and type(r) is weftrun.Ref) is True
    assert in_body(dir) == ["out", "output"]


def test_a_fixed_tuple_unpacks_and_nothing_else() -> None:
    first, second = in_body(list, pair)
    assert [repr(first), repr(second)] == ["<Ref pair[0][0]>", "<Ref pair[0][1]>"]
    with pytest.raises(RefUsedAsValue, match="iterating or unpacking"):
        in_body(lambda r: list(r[0]), pair)
    with pytest.raises(ValueError, match="too many values"):
        in_body(only_one, pair)


def test_what_would_unpack_names_the_annotation() -> None:
    with pytest.raises(RefUsedAsValue, match=r"`-> tuple\[int, str\]`, unpacks without its value\.$"):
        in_body(lambda r: [*r])


def only_one(ref: Any) -> Any:
    (only,) = ref
    return only


def test_a_mapped_ref_has_items_but_no_iteration() -> None:
    got: dict[str, Any] = {}

    @weftrun.workflow
    def wiring() -> Any:
        mapped: Any = add.map([1, 2, 3])
        got["items"] = [mapped[0], mapped[-1]]
        with pytest.raises(IndexError, match=r"<Ref add\[0\]> has 3 items, and none at 3\."):
            mapped[3]
        with pytest.raises(RefUsedAsValue, match="iterating"):
            list(mapped)
        with pytest.raises(RefUsedAsValue, match="len"):
            len(mapped)
        return mapped[-1]

    turn = body_of(wiring)[0].enter()
    assert isinstance(turn, Returned)
    assert [ref._path for ref in got["items"]] == [(0,), (2,)]
    assert turn.answer.refs[0]._path == (2,)


def test_a_ref_cannot_be_stored_outside() -> None:
    with pytest.raises(UsageError, match=r"<Ref add\[0\]> can't be stored or sent away"):
        in_body(pickle.dumps)


def test_a_ref_of_another_run() -> None:
    kept: list[Any] = []

    @weftrun.workflow
    def keeping() -> None:
        kept.append(add(1))

    @weftrun.workflow
    def using() -> Any:
        return add(kept[0])

    body_of(keeping, run="A")[0].enter()
    turn = body_of(using, run="B")[0].enter()
    assert isinstance(turn, Raised)
    assert str(turn.error) == "This Ref belongs to run A, not B: it was kept in a global or a closure."


@pytest.mark.parametrize(("step", "text"), [("other", "the body of other"), ("root", "an earlier entry of this body")])
def test_a_ref_of_another_body(step: str, text: str) -> None:
    kept: list[Any] = []

    @weftrun.workflow
    def keeping() -> None:
        kept.append(add(1))

    @weftrun.workflow
    def using() -> Any:
        return total([kept[0]])

    @weftrun.workflow
    def answering() -> Any:
        return {"x": kept[0]}

    body_of(keeping, step=step)[0].enter()
    for user in (using, answering):
        turn = body_of(user)[0].enter()
        assert isinstance(turn, Raised)
        assert text in str(turn.error)
        assert "(tests/sdk/test_ref.py:" in str(turn.error)
