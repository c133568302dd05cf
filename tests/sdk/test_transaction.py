"""What a body may hand over to `execute`, before a statement leaves the Sandbox."""

from __future__ import annotations

import math
import uuid
from collections import deque
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from weftrun import LimitExceeded, StatementRefused
from weftrun.sdk.transaction import Rows, Transaction


class Asked:
    """Keeps what was said."""

    def __init__(self) -> None:
        self.said: list[Any] = []

    def begin(self) -> None:
        pass

    def execute(self, sql: str, parameters: Any) -> Rows:
        self.said.append(parameters)
        return Rows()

    def leave(self, *, keep: bool) -> None:
        pass


def said(parameters: Any, sql: str = "SELECT 1") -> Any:
    asked = Asked()
    with Transaction(asked, 1_000) as db:
        db.execute(sql, parameters)
    return asked.said[0]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ((1, "a"), (1, "a")),
        ([None, True, b"x"], (None, True, b"x")),
        (deque([1, 2]), (1, 2)),
        ((n for n in (1, 2)), (1, 2)),
        ({"a": 1, "b": 2}.values(), (1, 2)),
        (range(2), (0, 1)),
        (np.array([1, 2]), (1, 2)),
        ({"key": "k", "val": 1.5}, {"key": "k", "val": 1.5}),
        ({}, {}),
        ((Decimal("1.50"), date(2026, 1, 2)), ("1.50", "2026-01-02")),
        ((datetime(2026, 1, 2, 3, tzinfo=UTC), time(3)), ("2026-01-02 03:00:00+00:00", "03:00:00")),
        ({"id": uuid.UUID(int=7)}, {"id": "00000000-0000-0000-0000-000000000007"}),
        ((np.float64(0.5), np.int32(7), np.bool_(True), np.str_("a")), (0.5, 7, True, "a")),
        ((bytearray(b"a"), memoryview(b"b")), (b"a", b"b")),
    ],
)
def test_what_is_handed_over(given: Any, told: Any) -> None:
    found = said(given)
    assert found == told
    values = found.values() if isinstance(found, dict) else found
    assert all(type(value) in (bool, int, float, str, bytes, type(None)) for value in values)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("ab", "are a text, not a sequence of values: write (value,)"),
        (b"ab", "are a text"),
        (bytearray(b"ab"), "are a text"),
        ({"a", "b"}, "are a set, which has no order"),
        (frozenset({1}), "are a frozenset, which has no order"),
        ({"a": 1}.keys(), "are a dict_keys, which has no order"),
        ({"a": 1}.items(), "are a dict_items, which has no order"),
        (None, "are a NoneType"),
        (5, "are an int"),
        ([(1, 2), (3, 4)], "number 1 is of type tuple; put many rows into one statement, VALUES"),
        ([{"a": 1}], "number 1 is of type dict; put many rows into one statement, VALUES"),
        ((1, object()), "number 2 is of type object; hand over None, bool, int, float, str or bytes"),
        ((timedelta(1),), "number 1 is of type timedelta"),
        ((np.datetime64("2026-01-02T03", "ns"),), "number 1 is of type datetime64"),
        ({"a": 2**63}, "Parameter :a does not fit into 64 bits"),
        ({1: 2}, "1 is no name of a parameter"),
        ({"a b": 2}, "'a b' is no name of a parameter"),
        (("a\udce9",), "Parameter number 1 holds a lone surrogate"),
    ],
)
def test_what_is_refused_in_words(given: Any, text: str) -> None:
    with pytest.raises(StatementRefused) as refused:
        said(given)
    assert text in str(refused.value)


def test_the_statement_is_a_text() -> None:
    for sql, text in ((b"SELECT 1", "this is a bytes"), ("SELECT '\udce9'", "holds a lone surrogate")):
        with pytest.raises(StatementRefused, match=text):
            said((), sql)  # type: ignore[arg-type]


def test_named_values_count_for_the_limit() -> None:
    with pytest.raises(LimitExceeded):
        said({"a": "x" * 2_000})
    assert math.isnan(said((math.nan,))[0])
