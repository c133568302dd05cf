"""Conditions are worked out without `eval`."""

from __future__ import annotations

from typing import Any

import pytest

from weftrun.fronts.faasflow.conditions import holds, names

DATA: dict[str, Any] = {"n": 3, "text": "words", "flag": False, "items": [1, 2], "deep": {"a": 5}}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("default", True),
        ("default_branch", True),
        ("True", True),
        ("ROOT.n == 3", True),
        ("INPUT.n > 3 or n >= 3", True),
        ("not ROOT.flag and n < 4", True),
        ("1 < n < 3", False),
        ("ROOT.text in ['words', 'more']", True),
        ("len(items) == 2", True),
        ("items[1] + 1 == n", True),
        ("deep['a'] % 2 == 1", True),
        ("-n == -3", True),
        ("ROOT.flag == false", True),
        ("ROOT.flag is None", False),
    ],
)
def test_it_holds_or_not(text: str, expected: bool) -> None:
    assert holds(text, DATA.__getitem__) is expected


@pytest.mark.parametrize(
    "text",
    [
        "open('x')", "().__class__", "ROOT.a.b", "[x for x in n]", "lambda: 1", "n if n else 1", "f'{n}'", "n := 1",
        "items[0:1]", "n ** 9", "n << 9", "len(items, 1)", "b'x'", "x(", "", "-" * 200 + "1",
    ],
)  # fmt: skip
def test_what_it_may_not_have_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the condition"):
        names(text)


@pytest.mark.parametrize("text", ["n / 0", "text > 3", "text * 1000000000", "items[7]", "len(n)", "deep['b']"])
def test_what_can_not_be_worked_out_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(ValueError, match="can't be worked out"):
        holds(text, DATA.__getitem__)


def test_the_data_that_it_looks_at() -> None:
    assert names("ROOT.a == 1 and INPUT.b in ['c']") == ["a", "b"]
