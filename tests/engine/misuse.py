"""Graphs that can't be and values that can't be pickled. Sandboxes import it by name."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any

import weftrun
from weftrun import function, workflow


@function(effects="none", deterministic=True)
def add(a: int, b: int) -> int:
    return a + b


def forged(ref: Any, calls_on: int) -> Any:
    """Return a Ref of a call that comes later: nobody gets one without reaching into weftrun."""
    return weftrun.Ref(ref._recorder, ref._number + calls_on, ref._made, 0)


@workflow
def asks_a_ref() -> int:
    return 1 if add(1, 1) else 2


@workflow
async def awaits_asyncio() -> None:
    await asyncio.sleep(0)


@workflow
def takes_its_own_value() -> int:
    return add(forged(add(1, 1), 1), 1)


@workflow
def takes_each_others_values() -> int:
    one = add(1, 1)
    two = add(forged(one, 2), 1)
    return add(two, one)


@workflow
def answers_with_what_is_not_there() -> int:
    answer: int = forged(add(1, 1), 1)
    return answer


@workflow
async def awaits_its_own_end() -> int:
    answer: int = await forged(add.step(1, 1), 1)
    return answer


KEPT: list[Any] = []


@workflow
def keeps_a_ref() -> int:
    """Return, from the second Run on in the same Sandbox, what was made of another Run's Ref."""
    mine = add(1, 1)
    KEPT.append(mine)
    return add(KEPT[0], 1)


@function
def gives_socket() -> dict[str, list[object]]:
    return {"conn": [1, socket.socket()]}


@workflow
def hands_on_a_lock() -> int:
    return total([1, {"deep": threading.Lock()}])


@workflow
def items_with_a_lock() -> list[object]:
    return same.map([1, 2, [threading.Lock()]])


@workflow
def answers_with_a_lock() -> object:
    return {"a": (add(1, 1), threading.Lock())}


@function(deterministic=True, effects="none")
def total(xs: list[int]) -> int:
    return sum(xs)


@workflow
def sound() -> int:
    return total([1, add(1, 1)])


@function
def same(x: object) -> object:
    return x
