"""`weftrun outbox`: what was emitted and not delivered, and deciding about it."""

from __future__ import annotations

import json
import math

import pytest
from tests.engine.emitting import Watched, order

import weftrun
from weftrun.sinks import Answer, Result


@pytest.fixture
def keys(cli) -> list[str]:
    """Two emits: one was refused, one waits behind it."""
    sink = Watched(math.inf, lambda message: Result(Answer.REFUSED, "no such customer"))
    with weftrun.open(workers=1, sinks={"orders": sink}) as engine:
        first = engine.run(order.options(id="first"), 1, "ada")
    with weftrun.open(workers=1) as engine:
        return [first, engine.run(order.options(id="second"), 2, "ada")]


def test_what_is_shown(cli, keys):
    rows = [line.split("\t") for line in cli("outbox").out.splitlines()]
    assert [(row[0], row[1], row[3], row[6]) for row in rows[1:]] == [
        (keys[0], "first", "refused", "no such customer"),
        (keys[1], "second", "waiting", ""),
    ]
    told = json.loads(cli("outbox", "--json", "--limit", "1").out)
    assert [(emit["key"], emit["order_by"]) for emit in told] == [(keys[0], "ada")]
    assert "was refused by orders (no such customer): mend what is wrong" in cli("story", "first").out
    assert "2 emits not delivered, 1 of them unknown or refused" in cli("doctor").out
    assert "is not delivered" in cli("delete", "second").err


def test_deciding(cli, keys):
    sink = Watched(math.inf)
    assert cli("outbox", "--send", keys[0]).code == 0
    assert cli("outbox", "--drop", keys[1]).code == 0
    with weftrun.open(workers=1, sinks={"orders": sink}) as engine:
        engine.run(order, 3, "ada")
    assert sink.payloads == [b'{"number":1}', b'{"number":3}']
    assert "was dropped, not to be delivered to orders" in cli("story", "second").out
    assert cli("outbox").out.splitlines()[1:] == []
    assert "No emit" in cli("outbox", "--send", keys[0]).err
    assert cli("outbox", "--send", "x", "--drop", "y").code == 2
    assert cli("delete", "second").code == 0
