"""One workflow with everything in it, and an engine that kills itself at a chosen record of it.

`python -m tests.engine.everything URL FOLDER POINT`: before and after each commit is a point; ends with 0 where it has
fewer. A module of its own: Sandboxes import it by name.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import weftrun
from weftrun import Retry, function, sinks, workflow

ID = "all"


@function(effects="none")
def price(item: int) -> int:
    return random.SystemRandom().randrange(1_000)


@function(effects="none", deterministic=True)
def add(one: int, other: int) -> int:
    return one + other


@workflow
def pair(item: int) -> int:
    return add(price(item), price(item))


@function
def pay(cents: int, ledger: str) -> int:
    """A visible effect; whoever receives it is told the key."""
    with Path(ledger).open("a") as file:
        file.write(f"{weftrun.current().key} {cents}\n")
    return cents


@function(retries=Retry(2, delay_s=0.0))
def shaky(cents: int, ledger: str) -> int:
    if weftrun.current().attempt == 1:
        raise OSError("busy")
    return pay(cents, ledger)


@function(effects="transaction")
def book(cents: int) -> int:
    with weftrun.current().transaction() as db:
        db.execute("CREATE TABLE IF NOT EXISTS app_books (cents INTEGER)")
        db.execute("INSERT INTO app_books VALUES (?)", (cents,))
    weftrun.current().emit("out", {"booked": cents}, order_by="all")
    return cents


@function(effects="none")
def tell(cents: int) -> str:
    return weftrun.current().emit("out", {"cents": cents}, order_by="all")


@workflow
async def everything(ledger: str) -> dict[str, int]:
    first = await price.step(0)
    # Which way it goes hangs on a value that no second try would give again.
    rest = await pair.step(1) if first % 2 else sum(await price.map(range(3)))
    paid = await pay.step(first + rest, ledger)
    again = await shaky.step(paid, ledger)
    booked = await book.step(again)
    await tell.step(booked)
    return {"first": first, "rest": rest, "booked": booked}


def opened(url: str, folder: Path) -> weftrun.Engine:
    return weftrun.open(url, workers=2, sinks={"out": sinks.File(folder / "out.jsonl")})


def committing(url: str) -> list[tuple[type, tuple[str, ...]]]:
    """Return what commits records, acknowledgements of emits, and an author's transaction."""
    of_journal = ("append", "take_emits", "settle_emits")
    if url.startswith("sqlite"):
        from weftrun.adapters.sqlite import journal, transactions  # noqa: PLC0415

        return [(journal.SqliteJournal, of_journal), (transactions.SqliteTransaction, ("commit",))]
    from weftrun.adapters.postgres import journal as on_server  # noqa: PLC0415
    from weftrun.adapters.postgres import transactions as of_server  # noqa: PLC0415

    return [(on_server.PostgresJournal, of_journal), (of_server.PostgresTransaction, ("commit",))]


def main(url: str, folder: Path, at: int) -> None:
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == at:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            point()
            result = real(*args, **kwargs)
            point()
            return result

        return call

    for owner, names in committing(url):
        for name in names:
            setattr(owner, name, around(getattr(owner, name)))
    with opened(url, folder) as engine:
        engine.run(everything.options(id=ID), str(folder / "ledger"))
        until_told(folder)


def until_told(folder: Path) -> None:
    """Return when the sink has what was emitted; closing waits for it as well, but for a few seconds only."""
    for _ in range(3_000):
        if (folder / "out.jsonl").exists() and (folder / "out.jsonl").read_bytes().count(b"\n") == 2:
            return
        time.sleep(0.01)


def killed_at(url: str, folder: Path, at: int) -> bool:
    """Say whether there is such a point; if so the process is dead."""
    command = [sys.executable, "-m", "tests.engine.everything", url, str(folder), str(at)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert ended.returncode in (0, -signal.SIGKILL), ended.stderr
    return ended.returncode != 0


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
