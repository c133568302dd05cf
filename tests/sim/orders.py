"""A user's program: it takes an order by calling others, whom it tells the key."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import weftrun
from weftrun import Retry, function, workflow


@function
def charge(cents: int, ledger: str) -> str:
    """Tell somebody who remembers keys."""
    path = Path(ledger)
    key = weftrun.current().key
    told = path.read_text().splitlines() if path.exists() else []
    if not any(line.startswith(key) for line in told):
        with path.open("a") as file:
            file.write(f"{key} {cents}\n")
    return f"charged {cents}"


@function
def forgetful(cents: int, ledger: str) -> str:
    """Tell somebody who remembers nothing."""
    with Path(ledger).open("a") as file:
        file.write(f"{weftrun.current().key} {cents}\n")
    return f"charged {cents}"


@function(effects="none")
def price(item: str) -> int:
    return 100 * len(item)


@function(effects="none", retries=Retry(times=2, delay_s=300))
def pack(items: list[str]) -> str:
    if weftrun.current().attempt == 1:
        raise OSError("no box")
    return "+".join(items)


@function
async def mail(text: str) -> str:
    return f"mailed {text}"


@function
def refuse() -> None:
    raise ValueError("sold out")


@workflow
async def order(items: list[str], ledger: str) -> str:
    cents = sum(await price.map(items))
    packed = await pack.step(items)
    charged = await charge.step(cents, ledger)
    return await mail.step(f"{packed}: {charged}")


@workflow
def paid(cents: int, ledger: str) -> str:
    return charge(cents, ledger)


@workflow
def unpaid(cents: int, ledger: str) -> str:
    return forgetful(cents, ledger)


@workflow
def sold_out() -> None:
    refuse()


@function
def grid(n: int) -> np.ndarray:
    return np.arange(n)


@workflow
def arrays(n: int) -> np.ndarray:
    return grid(n)


TABLES = "CREATE TABLE app_stock (item TEXT PRIMARY KEY, left INTEGER); INSERT INTO app_stock VALUES ('cup', 5)"


@function(effects="transaction", retries=Retry(3, delay_s=0.0))  # the time while its engine stands still counts
def take(item: str, n: int) -> int:
    """Take something out of stock; what it has begun when it fails is undone."""
    with weftrun.current().transaction() as db:
        ((left,),) = db.execute("SELECT left FROM app_stock WHERE item = ?", (item,))
        db.execute("UPDATE app_stock SET left = ? WHERE item = ?", (left - n, item))
    if weftrun.current().attempt == 1:
        raise OSError("the scanner is busy")
    return int(left) - n


@function(effects="transaction")
async def take_carelessly(item: str, n: int) -> str:
    with weftrun.current().transaction() as db:
        try:
            db.execute("UPDATE app_stock SET left = left - ? WHERE unknown = ?", (n, item))
        except weftrun.StatementRefused as refused:
            return str(refused)
    return ""


@workflow
def taken(item: str) -> int:
    return take(item, 2)


@workflow
def taken_carelessly(item: str) -> str:
    return take_carelessly(item, 1)
