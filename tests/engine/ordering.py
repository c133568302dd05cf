"""Functions that use a transaction of the Journal. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import os

import weftrun
from weftrun import Retry, function, workflow


@function(effects="transaction")
def make_table() -> None:
    with weftrun.current().transaction() as db:
        db.execute("CREATE TABLE IF NOT EXISTS app_orders (item TEXT PRIMARY KEY, amount INTEGER, note BYTEA)")


@function(effects="transaction", retries=Retry(2, delay_s=0.0))
def order(item: str, amount: int) -> int:
    with weftrun.current().transaction() as db:
        added = db.execute("INSERT INTO app_orders (item, amount, note) VALUES (?, ?, ?)", (item, amount, b"\x00"))
        assert added.changed == 1
        rows = db.execute("SELECT sum(amount) AS total FROM app_orders")
        assert rows.columns == ("total",)
    return int(str(rows[0][0]))


@function(effects="none")
def pick(n: int) -> int:
    return n + int.from_bytes(os.urandom(1), "big") % 1


@workflow
def buy(items: list[str]) -> list[int]:
    first = make_table()
    return [order.options(after=[first])(item, pick(n)) for n, item in enumerate(items, 1)]  # type: ignore[list-item]


@workflow
async def buy_watched(items: list[str]) -> list[int]:
    await make_table.step()
    return [await order.step(item, await pick.step(n)) for n, item in enumerate(items, 1)]
