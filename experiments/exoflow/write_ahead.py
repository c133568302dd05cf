"""The baseline of ExoFlow's Figure 7: each call's answer is logged beside the data, one call after the other (Beldi).

An intent is written before anything is called and marked done at the end; a call that has an answer in the log is not
made again. As in the original the order is placed behind the answer, and draws its id when it is placed.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from examples.reservation import call

_TRIES = 200
_SCHEMA = """
CREATE TABLE IF NOT EXISTS intent (txn TEXT PRIMARY KEY, done INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS log (txn TEXT, n INTEGER, answer TEXT, PRIMARY KEY (txn, n));
"""


class WriteAhead:
    """Runs trips with a log. Called from many threads."""

    def __init__(self, folder: Path, services: dict[str, str]) -> None:
        self._db = sqlite3.connect(folder / "log.db", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")  # a record of the log is on the disk before the next call
        self._db.executescript(_SCHEMA)
        self._lock = threading.Lock()
        self._services = services
        self._behind: list[threading.Thread] = []

    def reserve(self, txn: str, user: int, hotel: int, flight: int) -> str:
        """Reserve a trip: hotel, then flight, then, behind the answer, the order."""
        self._write("INSERT OR IGNORE INTO intent VALUES (?, 0)", txn)
        items = {"hotel": hotel, "flight": flight}
        answer = "held"
        for place, (kind, item) in enumerate(items.items()):
            for step, name in enumerate(("acquire", "intend")):
                if answer == "held":
                    answer = self._logged(txn, 2 * place + step, kind, name, txn=txn, item=item)
        if answer == "held":
            order = threading.Thread(target=self._order, args=(txn, user, items))
            order.start()
            self._behind.append(order)
            return "ordered"
        for n, kind in enumerate(items, 4):
            self._logged(txn, n, kind, "abort", txn=txn)
        self._write("UPDATE intent SET done = 1 WHERE txn = ?", txn)
        return answer

    def look(self, txn: str, what: tuple[str, ...], key: int) -> None:
        """Read: each answer is logged, too."""
        self._write("INSERT OR IGNORE INTO intent VALUES (?, 0)", txn)
        for n, name in enumerate(what):
            self._logged(txn, n, "catalogue", "look", what=name, key=key)
        self._write("UPDATE intent SET done = 1 WHERE txn = ?", txn)

    def settle(self) -> None:
        """Wait for the orders."""
        for order in self._behind:
            order.join()
        self._db.close()

    def _order(self, txn: str, user: int, items: dict[str, int]) -> None:
        _again(
            lambda: call(
                self._services["order"], "place", id=uuid.uuid4().hex, txn=txn, user=user, items=items,
                services=self._services,
            )
        )  # fmt: skip
        self._write("UPDATE intent SET done = 1 WHERE txn = ?", txn)

    def _logged(self, txn: str, n: int, kind: str, name: str, /, **said: Any) -> str:
        with self._lock:
            found = self._db.execute("SELECT answer FROM log WHERE txn = ? AND n = ?", (txn, n)).fetchone()
        if found is not None:
            return str(found[0])
        answer = str(_again(lambda: call(self._services[kind], name, **said)))
        self._write("INSERT OR IGNORE INTO log VALUES (?, ?, ?)", txn, n, answer)
        return answer

    def _write(self, statement: str, *bound: object) -> None:
        with self._lock:
            self._db.execute(statement, bound)


def _again(do: Callable[[], Any]) -> Any:
    wait_s = 0.02
    for _ in range(_TRIES):
        try:
            return do()
        except OSError:
            time.sleep(wait_s)
            wait_s = min(wait_s * 1.5, 0.5)
    return do()
