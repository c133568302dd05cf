"""Starts with the same arguments are the same, however the call is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from weftrun.sdk.arguments import Signature
from weftrun.sdk.canonical import digest

Call = tuple[tuple[Any, ...], dict[str, Any]]


def plain(n: int, top: int = 10, *, deep: bool = False) -> None: ...
def one(n: int) -> None: ...
def many(n: int, *rest: int, last: int = 0) -> None: ...
def named(n: int, **rest: int) -> None: ...
def placed(n: int, /, m: int = 2) -> None: ...


def digests(callable: Callable[..., Any], call: Call) -> tuple[str, ...]:
    return Signature(callable, "f").digests(*call, all_ways=True)


def joins(callable: Callable[..., Any], recorded: str, call: Call) -> bool:
    return recorded in digests(callable, call)


@pytest.mark.parametrize(
    ("callable", "same", "other"),
    [
        (one, [((1,), {}), ((), {"n": 1})], [((2,), {}), ((), {"n": 1.0}), ((True,), {})]),
        (
            plain,
            [((1,), {}), ((), {"n": 1}), ((1, 10), {}), ((1,), {"top": 10}), ((), {"top": 10, "n": 1, "deep": False})],
            [((1, 11), {}), ((1,), {"deep": True}), ((10,), {}), ((1, 10.0), {})],
        ),
        (plain, [((1, 5), {"deep": True}), ((), {"deep": True, "n": 1, "top": 5})], [((5, 1), {"deep": True})]),
        (many, [((1, 2, 3), {}), ((1, 2, 3), {"last": 0})], [((1, 3, 2), {}), ((1, 2), {}), ((1, 2, 3), {"last": 3})]),
        (named, [((1,), {"a": 2}), ((), {"n": 1, "a": 2})], [((1,), {"b": 2}), ((1,), {})]),
        (placed, [((1,), {}), ((1, 2), {}), ((1,), {"m": 2})], [((1, 3), {})]),
        (max, [((1, 2), {})], [((2, 1), {})]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_call_is_the_same_however_it_is_written(
    callable: Callable[..., Any], same: list[Call], other: list[Call]
) -> None:
    for recorded, call in itertools.product(same, same):
        assert joins(callable, digests(callable, recorded)[0], call), (recorded, call)
        assert joins(callable, digest(recorded), recorded), "as older versions recorded it"
    for recorded, call in itertools.product(same, other):
        assert not joins(callable, digests(callable, recorded)[0], call), (recorded, call)
        assert not joins(callable, digest(recorded), call)


def test_the_command_line_of_older_versions_recorded_all_all_ways() -> None:
    assert joins(plain, digest(((), {"n": 1, "top": 5})), ((1, 5), {}))
    assert joins(named, digest(((), {"n": 1, "a": 2})), ((1,), {"a": 2}))


def test_what_starts_as_before_joins_after_its_signature_has_changed() -> None:
    def renamed(number: int, top: int = 10, *, deep: bool = False) -> None: ...
    def with_another_default(n: int, top: int = 20, *, deep: bool = True) -> None: ...
    def with_one_more(n: int, top: int = 10, more: int = 3, *, deep: bool = False) -> None: ...

    for now in (renamed, with_another_default, with_one_more):
        for call in (((1,), {}), ((1, 10), {}), ((1,), {"deep": False})):
            assert joins(now, digests(plain, call)[0], call)
    assert not joins(with_another_default, digests(plain, ((1, 10), {}))[0], ((1,), {})), "which says 20 now"


def test_what_has_no_digest_has_none_in_any_way() -> None:
    assert digests(plain, ((Random(1),), {})) == ()
    assert digests(plain, ((1,), {"top": Random(1)})) == ()

    def odd(n: int, source: object = Random(1)) -> None: ...

    assert digests(odd, ((1,), {})) and "" not in digests(odd, ((1,), {}))


def test_what_is_large_is_looked_at_once_where_it_stands_by_position(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    array = np.zeros(1_000)
    monkeypatch.setattr("weftrun.sdk.arguments.digest", lambda value: (looked.append(1), digest(value))[1])
    assert len(Signature(one, "f").digests((array,), {}, all_ways=False)) == 1
    assert len(looked) == 1
