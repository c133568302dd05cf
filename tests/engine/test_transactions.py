"""What a Step's transaction does is there exactly if its record is (T1)."""

from __future__ import annotations

import apsw
import pytest
from tests.conftest import assert_closed
from tests.engine import ordering as o

import weftrun


def orders(url: str) -> list[tuple[object, ...]]:
    connection = apsw.Connection(url.removeprefix("sqlite:///"))
    try:
        return list(connection.execute("SELECT item, amount FROM app_orders ORDER BY item"))
    finally:
        connection.close()


@pytest.mark.parametrize("flow", [o.buy, o.buy_watched], ids=lambda f: f.spec.label)
def test_statements_commit_with_the_record(flow: weftrun.Function[..., list[int]], url: str) -> None:
    with weftrun.open(url, workers=2) as engine:
        totals = engine.run(flow.options(id="r"), ["a", "b", "c"])
    assert max(totals) == 6
    assert orders(url) == [("a", 1), ("b", 2), ("c", 3)]
    assert_closed(url)
