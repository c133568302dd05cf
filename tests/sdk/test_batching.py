"""What authors may say of sharing a Sandbox, and handlers of lists where there is no engine."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from weftrun import PolicyError, UsageError, function, workflow
from weftrun.model.policy import Reach, Sharing


def plain(x: int) -> int:
    return x


async def later(x: int) -> int:
    return x


@function(batch=True)
def doubled(xs: list[int]) -> list[int]:
    return [2 * x for x in xs]


@function(batch=True)
async def doubled_later(xs: list[int]) -> list[int]:
    return [2 * x for x in xs]


@function(batch=True)
def wrong(xs: list[int]) -> list[int]:
    return [*xs, 0]


@function(batch=True)
def refused(xs: list[int]) -> list[Any]:
    return [ValueError(str(x)) for x in xs]


@workflow
def both(n: int) -> tuple[int, list[int]]:
    return doubled(n), doubled.map(list(range(3)))


@pytest.mark.parametrize(
    ("callable", "policy", "sharing"),
    [
        (plain, {"concurrency": 8}, Sharing("drop", "threads", 8)),
        (later, {"concurrency": 8}, Sharing("drop", "coroutines", 8)),
        (plain, {"concurrency": ("threads", 3)}, Sharing("drop", "threads", 3)),
        (plain, {"concurrency": 8, "window": 0.2}, Sharing("drop", "threads", 8, 0.2)),
        (plain, {"window": 0.2}, Sharing("drop", "serial", 1, 0.2)),
        (plain, {"batch": True}, Sharing("drop", "list", 256)),
        (plain, {"batch": True, "concurrency": 16}, Sharing("drop", "list", 16)),
        (plain, {"concurrency": 8, "privileges": "keep"}, Sharing("keep", "threads", 8)),
        (plain, {"concurrency": ("processes", 4)}, Sharing("drop", "processes", 4)),
        (later, {"concurrency": ("processes", 1)}, Sharing("drop", "processes", 1)),
        (plain, {"concurrency": 1}, None),
        (plain, {"window": "adaptive"}, None),
    ],
)
def test_what_is_recorded(callable: Any, policy: dict[str, Any], sharing: Sharing | None) -> None:
    made = function(callable, name=f"{callable.__name__}-{policy}".translate(str.maketrans("[]/", "   ")), **policy)
    assert made.spec.sharing == sharing
    assert made.spec.privileges == policy.get("privileges", "drop")
    assert made.spec.network
    assert made.spec.reach == (Reach(True, sharing) if sharing else True)


def test_options_change_one_thing_at_a_time() -> None:
    made = function(plain, name="changed", concurrency=8)
    assert made.options(window=0.1).spec.sharing == Sharing("drop", "threads", 8, 0.1)
    assert made.options(window=0.1).options(window="adaptive").spec == made.spec
    assert made.options(concurrency=1).spec.sharing is None
    assert made.options(network=False).spec.reach == Reach(False, Sharing("drop", "threads", 8))
    assert doubled.options(concurrency=4)(3) == 6


@pytest.mark.parametrize(
    ("callable", "policy", "text"),
    [
        (plain, {"concurrency": 0}, 'or one of ("threads", number), ("coroutines", number), ("processes", number)'),
        (plain, {"concurrency": 257}, "is not a number from 1 to 256"),
        (plain, {"concurrency": ("fibers", 2)}, "is not a number from 1 to 256"),
        (plain, {"concurrency": ("coroutines", 2)}, "this is a `def`: its calls need threads. Write `concurrency=2`."),
        (later, {"concurrency": ("threads", 2)}, "its calls run as coroutines. Write `concurrency=2`."),
        (plain, {"window": 0}, '`window=0` is not "adaptive", or a number of seconds from 0.001 to 60.'),
        (plain, {"window": "fixed"}, "`window='fixed'` is not \"adaptive\""),
        (plain, {"batch": 1}, "`batch=1` is not True or False."),
        (plain, {"batch": True, "concurrency": ("threads", 2)}, "give `concurrency` as a number"),
        (plain, {"concurrency": 2, "memory_bytes_max": 2**20}, "`concurrency=2` and `memory_bytes_max` exclude each"),
        (plain, {"concurrency": 2, "effects": "transaction"}, '`concurrency=2` and `effects="transaction"` exclude'),
        (plain, {"batch": True, "rollback": function(plain, name="undo")}, "`batch=True` and `rollback` exclude"),
    ],
)
def test_what_is_refused(callable: Any, policy: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError, match=re.escape(text)):
        function(callable, name="refused", **policy)


def test_a_handler_of_lists_is_called_with_single_values() -> None:
    assert doubled(4) == 8
    assert doubled.map([1, 2]) == [2, 4]
    assert asyncio.run(doubled_later(4)) == 8
    assert both(4) == (8, [0, 2, 4])
    with pytest.raises(ValueError, match="7"):
        refused(7)
    with pytest.raises(UsageError, match="wrong has batch=True and was called for 1 calls, but returned a list of 2"):
        wrong(1)
