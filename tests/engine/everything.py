"""One workflow with everything in it, and an engine that kills or freezes itself at a chosen point of it.

`python -m tests.engine.everything URL FOLDER POINT SIGNAL`: before and after each commit is a point, and for SIGSTOP
also before and after each message to a Sandbox. Without such a point it prints the answer. Sandboxes freeze where
`stop_at` has asked for it. A module of its own: Sandboxes import it by name.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.engine.points import program, strike_at, was_killed

import weftrun
from weftrun import Retry, function, sinks, workflow

ID = "all"
TTL_S = 1.0
FOLDER = "WEFTRUN_TESTS_EVERYTHING"
"""Environment variable with the folder of the test, by which whatever it has started can be found."""
PLACES = ("everything", "price", "before pay", "after pay", "in book", "after book", "tell")
"""Where a Sandbox can be stopped, in bodies of workflows and of Functions."""


def stop_at(folder: Path, name: str) -> None:
    """Have the first Sandbox that comes to this place stand still."""
    (folder / f"stop {name}").touch()


def stand(name: str) -> None:
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    try:
        (Path(folder) / f"stop {name}").unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGSTOP)


@function(effects="none")
def price(item: int) -> int:
    stand("price")
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
    stand("before pay")
    with Path(ledger).open("a") as file:
        file.write(f"{weftrun.current().key} {cents}\n")
    stand("after pay")
    return cents


@function(retries=Retry(2, delay_s=0.0))
def shaky(cents: int, ledger: str) -> int:
    if weftrun.current().attempt == 1:
        raise OSError("busy")
    return pay(cents, ledger)


@function(effects="transaction", retries=Retry(3, delay_s=0.0))  # on SQLite the time while it is frozen counts
def book(cents: int) -> int:
    with weftrun.current().transaction() as db:
        db.execute("CREATE TABLE IF NOT EXISTS app_books (cents INTEGER)")
        db.execute("INSERT INTO app_books VALUES (?)", (cents,))
        stand("in book")
    stand("after book")
    weftrun.current().emit("out", {"booked": cents}, order_by="all")
    return cents


@function(effects="none")
def tell(cents: int) -> str:
    stand("tell")
    return weftrun.current().emit("out", {"cents": cents}, order_by="all")


@workflow
async def everything(ledger: str) -> dict[str, int]:
    first = await price.step(0)
    stand("everything")
    # Which way it goes hangs on a value that no second try would give again.
    rest = await pair.step(1) if first % 2 else sum(await price.map(range(3)))
    paid = await pay.step(first + rest, ledger)
    again = await shaky.step(paid, ledger)
    booked = await book.step(again)
    await tell.step(booked)
    return {"first": first, "rest": rest, "booked": booked}


def opened(url: str, folder: Path, ttl_s: float = 10.0) -> weftrun.Engine:
    return weftrun.open(url, sandboxes=2, lease_ttl_s=ttl_s, sinks={"out": sinks.File(folder / "out.jsonl")})


def committing(url: str) -> list[tuple[type, tuple[str, ...]]]:
    """Return what commits records, acknowledgements of emits, and an author's transaction."""
    of_journal = ("append", "take_emits", "settle_emits")
    if url.startswith("sqlite"):
        from weftrun.adapters.sqlite import journal, transactions  # noqa: PLC0415

        return [(journal.SqliteJournal, of_journal), (transactions.SqliteTransaction, ("commit",))]
    from weftrun.adapters.postgres import journal as on_server  # noqa: PLC0415
    from weftrun.adapters.postgres import transactions as of_server  # noqa: PLC0415

    return [(on_server.PostgresJournal, of_journal), (of_server.PostgresTransaction, ("commit",))]


def main(url: str, folder: Path, at: int, number: int) -> None:
    from weftrun.adapters.process.sandboxes import ProcessSandboxes  # noqa: PLC0415 - no Sandbox needs it

    sending = [(ProcessSandboxes, ("send",))] if number == signal.SIGSTOP else []
    strike_at(at, number, [*committing(url), *sending])
    with opened(url, folder, TTL_S) as engine:
        print(json.dumps(engine.run(everything.options(id=ID), str(folder / "ledger"))))
        until_told(folder)


def until_told(folder: Path, runs: int = 1) -> None:
    """Return when the sink has what Runs emitted; closing waits for it as well, but for a few seconds only."""
    for _ in range(3_000):
        if (folder / "out.jsonl").exists() and (folder / "out.jsonl").read_bytes().count(b"\n") == 2 * runs:
            return
        time.sleep(0.01)


def started(url: str, folder: Path, at: int, number: int) -> subprocess.Popen[str]:
    """Start the engine that sends itself this signal."""
    words = (url, folder, at, int(number))
    return program("tests.engine.everything", *words, **{FOLDER: str(folder)})


def killed_at(url: str, folder: Path, at: int) -> bool:
    """Say whether there is such a point; if so the process is dead."""
    return was_killed(started(url, folder, at, signal.SIGKILL))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
