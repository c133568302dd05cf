"""What JSON fits a type is judged by its schema as msgspec judges it by the type."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import json
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypedDict

import msgspec
import pytest

from weftrun.sdk.json_fit import named, why_unfit
from weftrun.sdk.json_values import type_schema


@dataclass
class Verdict:
    approved: bool
    notes: str = ""


class Colour(enum.Enum):
    RED = "red"


class Typed(TypedDict):
    x: int


class Pair(NamedTuple):
    x: int
    y: str


TYPES: list[Any] = [
    bool, int, float, str, None, bytes, list[int], dict[str, int], tuple[int, str], set[str], int | None,
    str | list[int], Verdict, Verdict | None, list[Verdict], dict[str, Verdict], Colour, Literal["u", 3], Typed, Pair,
    decimal.Decimal,
    dt.date, Annotated[int, msgspec.Meta(ge=3, lt=9)], Annotated[str, msgspec.Meta(max_length=2, pattern="^a")],
]  # fmt: skip
VALUES: list[Any] = [
    None, True, 0, 1, 3, 9, 2.5, 3.0, "", "a", "ab", "abc", "u", "red", "1.5", "2026-11-30", "aGk=", [], [1], ["a"],
    [1, "a"], [1, 2], ["a", 1], [1, "a", 2], {}, {"x": 1}, {"x": "1"}, {"approved": True}, {"approved": 1},
    {"approved": True, "notes": 3}, {"approved": False, "notes": "no", "more": 1}, [{"approved": True}], [{}],
    {"a": {"approved": "x"}}, {"a": {"approved": True}},
]  # fmt: skip


@pytest.mark.parametrize("type", TYPES, ids=str)
def test_it_is_refused_where_msgspec_refuses_it(type: Any) -> None:
    schema = json.loads(type_schema(type))
    for value in VALUES:
        try:
            msgspec.json.decode(json.dumps(value), type=type)
            is_read = True
        except msgspec.ValidationError:
            is_read = False
        except ValueError:
            continue  # base64 that is none
        if type is bytes and isinstance(value, str):
            continue  # what a text encodes is judged by whoever reads it
        assert (why_unfit(value, schema) == "") == is_read, value


def test_it_says_what_is_wrong_and_where() -> None:
    schema = json.loads(type_schema(list[Verdict]))
    assert why_unfit([{"approved": True}, {"approved": "x"}], schema) == '[1].approved is "x", not true or false'
    assert why_unfit([{}], schema) == "[0] has no 'approved'"
    assert why_unfit(3, schema) == "it is 3, not a list"
    optional = json.loads(type_schema(Verdict | None))
    assert named(optional, optional["$defs"]) == "an object Verdict or null"
    assert why_unfit(3, {"type": "made-up"}) == ""
