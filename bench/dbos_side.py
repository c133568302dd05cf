"""DBOS, in a process of its own: `python -m bench.dbos_side FOLDER JOURNAL_MODE STEPS RUNS CALLS`.

Prints one JSON object on standard output. DBOS runs Steps as threads of this process: no isolation is paid for.
JOURNAL_MODE `wal` makes its file what a Journal of weftrun is, WAL with synchronous=FULL; `default` leaves it as it is;
the URL of a PostgreSQL database stands for itself.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import sqlite3
import sys
import threading
import time
from pathlib import Path

import sqlalchemy
from bench.floors import plus_one
from dbos import DBOS

THREADS = 16
step = DBOS.step()(plus_one)
_seen: set[tuple[str, int]] = set()


@DBOS.workflow()
def chain(n: int) -> int:
    x = 0
    for _ in range(n):
        x = step(x)
    return x


@DBOS.workflow()
def one_step(x: int) -> int:
    return step(x)


@DBOS.step()
async def plus_one_async(x: int) -> int:
    return plus_one(x)


@DBOS.workflow()
async def fan_out(n: int) -> int:
    return sum(await asyncio.gather(*(plus_one_async(i) for i in range(n))))


def step_us(steps: int) -> float:
    begin = time.perf_counter()
    assert chain(steps) == steps
    return (time.perf_counter() - begin) / steps * 1e6


def run_us(each: int) -> float:
    def client() -> None:
        for i in range(each):
            one_step(i)

    threads = [threading.Thread(target=client) for _ in range(THREADS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (time.perf_counter() - begin) / (THREADS * each) * 1e6


def calls_a_second(calls: int) -> float:
    begin = time.perf_counter()
    assert asyncio.run(fan_out(calls)) == calls * (calls + 1) // 2
    return calls / (time.perf_counter() - begin)


def _look(connection: sqlite3.Connection, mode: str) -> None:
    """Set what was asked for on a new connection, and note what holds there."""
    if mode == "wal":
        connection.execute("PRAGMA synchronous=FULL")
    (found,) = connection.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    _seen.add((found, synchronous))


def main() -> None:
    folder, mode, (steps, each, calls) = Path(sys.argv[1]), sys.argv[2], map(int, sys.argv[3:6])
    file = folder / "dbos.sqlite"
    if mode == "wal":
        connection = sqlite3.connect(file)
        connection.execute("PRAGMA journal_mode=wal")
        connection.close()
    on_server = mode.startswith("postgresql:")
    if not on_server:
        sqlalchemy.event.listen(sqlalchemy.Engine, "connect", lambda connection, _: _look(connection, mode))
    url = mode if on_server else f"sqlite:///{file}"
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR"})
    DBOS.launch()
    chain(5)
    told = {
        "step_us": step_us(steps) if steps else None,
        "run_us": run_us(each) if each else None,
        "calls_a_second": calls_a_second(calls) if calls else None,
        "version": importlib.metadata.version("dbos"),
        "sqlite": sqlite3.sqlite_version,
        "settings": sorted(_seen),
    }
    DBOS.destroy()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
