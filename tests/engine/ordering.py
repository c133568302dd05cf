"""Functions that use a transaction of the Journal. A module of its own: Sandboxes import it by name."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import weftrun
from weftrun import Retry, StatementRefused, function, workflow

TABLE = "CREATE TABLE IF NOT EXISTS app_orders (item TEXT PRIMARY KEY, amount INTEGER, note BYTEA)"


@function(effects="transaction")
def make_table() -> None:
    with weftrun.current().transaction() as db:
        db.execute(TABLE)


@function(effects="transaction", retries=Retry(2, delay_s=0.0))
def order(item: str, amount: int) -> int:
    with weftrun.current().transaction() as db:
        added = db.execute("INSERT INTO app_orders (item, amount, note) VALUES (?, ?, ?)", (item, amount, b"\x00"))
        assert added.changed == 1
        rows = db.execute("SELECT sum(amount) AS total FROM app_orders")
        assert rows.columns == ("total",)
    return int(rows[0][0])


@function(effects="none")
def pick(n: int) -> int:
    return n + int.from_bytes(os.urandom(1), "big") % 1


@workflow
def buy(items: list[str]) -> list[int]:
    first = make_table()
    return [order.options(after=[first])(item, pick(n)) for n, item in enumerate(items, 1)]


@workflow
async def buy_watched(items: list[str]) -> list[int]:
    await make_table.step()
    return [await order.step(item, await pick.step(n)) for n, item in enumerate(items, 1)]


@function(effects="transaction", retries=Retry(2, delay_s=0.0))
def stumbles(how: str, ledger: str) -> str:
    """Goes wrong in its first Attempt, in the middle of its transaction."""
    path = Path(ledger)
    first = not path.exists()
    path.touch()
    with weftrun.current().transaction() as db:
        db.execute("INSERT INTO app_orders (item, amount) VALUES (?, ?)", (how, 1))
        if first and how == "raises":
            raise OSError("half done")
        if first and how == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if first and how == "stays":
            time.sleep(60)
    if first and how == "raises late":
        raise OSError("all said, nothing done")
    return how


@function(effects="transaction")
def is_interrupted(item: str, ledger: str, go: str) -> int:
    """Waits in the middle of its transaction; nothing was said of retries."""
    with weftrun.current().transaction() as db:
        db.execute("INSERT INTO app_orders (item, amount) VALUES (?, 1)", (item,))
        Path(ledger).touch()
        while not Path(go).exists():
            time.sleep(0.01)
        return int(db.execute("SELECT sum(amount) FROM app_orders")[0][0])


@function(effects="transaction")
def thinks_better(item: str) -> str:
    """An error leaves its block, and the body goes on without the transaction."""
    try:
        with weftrun.current().transaction() as db:
            db.execute("INSERT INTO app_orders (item, amount) VALUES (?, 1)", (item,))
            raise KeyError(item)
    except KeyError:
        return "left it"


@function(effects="transaction")
def mends(item: str) -> tuple[str, str]:
    """A statement is refused, and the next one is not."""
    with weftrun.current().transaction() as db:
        db.execute("INSERT INTO app_orders (item, amount) VALUES (?, 1)", (item,))
        try:
            db.execute("INSERT INTO app_orders (item, amount) VALUES (?, 2)", (item,))
        except StatementRefused as refused:
            db.execute("UPDATE app_orders SET amount = 2 WHERE item = ?", (item,))
            return str(refused), refused.code
    return "", ""


@function
def without_saying() -> None:
    weftrun.current().transaction()


@function(effects="transaction")
def twice() -> None:
    for _ in range(2):
        with weftrun.current().transaction() as db:
            db.execute("SELECT 1")


@function(effects="transaction")
def never_left() -> None:
    weftrun.current().transaction().__enter__()


@function(effects="transaction")
def too_early() -> None:
    weftrun.current().transaction().execute("SELECT 1")


@function(effects="transaction")
def too_late() -> None:
    with weftrun.current().transaction() as db:
        pass
    db.execute("SELECT 1")


@function(effects="transaction")
def in_a_thread() -> None:
    errors: list[BaseException] = []

    def say() -> None:
        try:
            db.execute("SELECT 1")
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that the Sandbox looks at
            errors.append(error)

    with weftrun.current().transaction() as db:
        thread = threading.Thread(target=say)
        thread.start()
        thread.join()
    raise errors[0]


@function(effects="transaction")
def says(sql: str, *parameters: Any) -> list[tuple[Any, ...]]:
    with weftrun.current().transaction() as db:
        return list(db.execute(sql, parameters))


@function(effects="transaction")
def says_by_name(sql: str, values: dict[str, object]) -> list[tuple[object, ...]]:
    with weftrun.current().transaction() as db:
        return list(db.execute(sql, values))


@function(effects="transaction")
async def says_in_async(sql: str) -> list[tuple[Any, ...]]:
    with weftrun.current().transaction() as db:
        return list(db.execute(sql))


@function(effects="transaction")
def large(item: str) -> bytes:
    with weftrun.current().transaction() as db:
        db.execute("INSERT INTO app_orders (item, amount) VALUES (?, 1)", (item,))
    return bytes(300_000)


@workflow
def body_with_one() -> None:
    weftrun.current().transaction()


@workflow
def one_of(item: str) -> int:
    """Something nondeterministic before the transaction, and something visible after it."""
    return after(order(item, pick(7)))


@function
def after(total: int) -> int:
    return total


@workflow
def many(n: int) -> int:
    done = [order(f"{i:03}", 1) for i in range(n)]
    return largest(*done)


@function(effects="none", deterministic=True)
def largest(*totals: int) -> int:
    return max(totals)


@workflow
def shelf(name: str, n: int) -> int:
    """Many transactions under one name."""
    return largest(*[order(f"{name}-{i:03}", 1) for i in range(n)])


@function(effects="transaction")
def begins_none(*, begin: bool) -> str:
    if begin:
        with weftrun.current().transaction() as db:
            db.execute("SELECT 1")
    return "done"


@function(effects="transaction")
def begins_none_and_fails() -> None:
    raise ValueError("told by its error")
