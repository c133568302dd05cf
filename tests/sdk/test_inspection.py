"""Previews are short, and made in no time."""

from __future__ import annotations

import tracemalloc
from collections import Counter, namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from weftrun.sdk.codec import preview

Point = namedtuple("Point", "x y")


@dataclass
class Thing:
    name: str
    parts: Any


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (12, "12"),
        (1.5, "1.5"),
        (float("nan"), "nan"),
        ("hé", '"hé"'),
        ([1, {"a": (None, "x")}], '[1, {"a": [null, "x"]}]'),
        ({"k": float("inf")}, "{'k': inf}"),
        ({1: 2}, "{1: 2}"),
        (b"ab", "b'ab'"),
        (Counter({"a": 3}), '{"a": 3}'),
        (Thing("a", [1]), "Thing(name='a', parts=[1])"),
        (np.zeros((3, 4)), "<array float64 3×4>"),
        (Point(1, 2), "[1, 2]"),
        ({3, 4}, "{3, 4}"),
        (set(), "set()"),
        (frozenset({3}), "frozenset({3})"),
        (list(range(60)), "[" + ", ".join(map(str, range(20))) + ", ...]"),
    ],
)
def test_previews(value: Any, text: str) -> None:
    assert preview(value, 4096) == text


def test_a_preview_keeps_its_bound() -> None:
    for value in (
        "é" * 10_000,
        list("é" * 40),
        {f"k{i}": "é" * 200 for i in range(40)},
        Thing("a" * 5_000, "b" * 5_000),
    ):
        assert len(preview(value, 300).encode()) <= 300


def test_an_author_s_repr_may_raise() -> None:
    class Odd:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    name = Odd.__qualname__
    assert preview(Odd(), 100) == f"<{name}>"
    assert preview([Odd()], 200) == f"[<{name}>]"


def test_large_values_are_not_looked_at_whole() -> None:
    values = [
        np.zeros(12_500_000),
        bytes(100_000_000),
        dict.fromkeys(range(500_000)),
        Counter(range(500_000)),
        set(range(500_000)),
        Thing("x", list(range(2_000_000))),
        Thing("x", Thing("y", np.zeros(10_000_000))),
    ]
    tracemalloc.start()
    try:
        assert all(len(preview(value, 4096)) < 1_000 for value in values)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
