"""A hotel and a flight, reserved through HTTP functions that die at work: ordered once, nothing oversold, no lock left.

`python examples/reservation.py --faults 0.2` reserves 40 trips while every fifth request kills the function that serves
it (before, during or after the change of its state), or loses the reply, and then looks for what went wrong. It is the
travel application of ExoFlow (OSDI '23), after Beldi (OSDI '20), on one machine; `python -m experiments
exoflow/reservation` measures it.
"""

from __future__ import annotations

import argparse
import collections
import http.client
import http.server
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import weftrun
from weftrun import Retry, function, workflow

KINDS = ("hotel", "flight", "order", "catalogue")
FAULTS = ("before", "during", "after", "reply")
AGAIN = Retry(200, delay_s=0.02, factor=1.5, delay_max_s=0.5)
SCHEMA = """
CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, capacity INTEGER NOT NULL, left INTEGER NOT NULL, holder TEXT);
CREATE TABLE IF NOT EXISTS intent (txn TEXT PRIMARY KEY, item INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ended (txn TEXT PRIMARY KEY, how TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, txn TEXT NOT NULL, user INTEGER, hotel INTEGER, flight INTEGER);
"""


# ---------------------------------------------------------------------- functions behind HTTP, each with its own store


class Service:
    """One function: what it does with its store. Each statement commits by itself, as a write of a key does.

    All of it may be said again, and late: a trip that has ended takes nothing more.

    Args:
        path: of the store, a SQLite file.
        faults: share of requests that go wrong.
        latency_s: mean time that a request takes longer, as a call of a function in the cloud does.
    """

    def __init__(self, path: Path, faults: float, latency_s: float, seed: str) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)
        self._lock = threading.Lock()
        self._faults = faults
        self._latency_s = latency_s
        self._chance = random.Random(seed)

    def answer(self, name: str, said: dict[str, Any]) -> object:
        """Do what a request says; None where its reply is lost."""
        fault = self._chance.choice(FAULTS) if self._chance.random() < self._faults else ""
        if self._latency_s:
            time.sleep(self._latency_s * self._chance.lognormvariate(-0.125, 0.5))
        _die_if(fault == "before")
        with self._lock:
            answer = getattr(self, name)(fault, **said)
        _die_if(fault in ("during", "after"))
        return None if fault == "reply" else answer

    def reserve(self, fault: str, txn: str, item: int) -> str:
        """Lock an item, and note that one of it is to be taken."""
        held = self.acquire("", txn, item)
        _die_if(fault == "during")
        return self.intend("", txn, item) if held == "held" else held

    def acquire(self, fault: str, txn: str, item: int) -> str:
        """Lock an item for a trip: `held`, or `busy` where another one has it. Twice is once."""
        del fault
        done = self._db.execute(
            "UPDATE item SET holder = ?1 WHERE id = ?2 AND (holder IS NULL OR holder = ?1)"
            " AND NOT EXISTS (SELECT 1 FROM ended WHERE txn = ?1)",
            (txn, item),
        )
        return "held" if done.rowcount else "busy"

    def intend(self, fault: str, txn: str, item: int) -> str:
        """Note that one of a locked item is to be taken: `held`, or `sold out`."""
        del fault
        found = self._db.execute("SELECT left FROM item WHERE id = ? AND holder = ?", (item, txn)).fetchone()
        if found is None or found[0] <= 0:
            return "sold out"
        self._db.execute("INSERT OR IGNORE INTO intent VALUES (?, ?)", (txn, item))
        return "held"

    def commit(self, fault: str, txn: str) -> str:
        """Take what was noted, and unlock it."""
        return self._end(fault, txn, "commit", "left = left - 1, holder = NULL")

    def abort(self, fault: str, txn: str) -> str:
        """Forget what was noted, and unlock it."""
        return self._end(fault, txn, "abort", "holder = NULL")

    def _end(self, fault: str, txn: str, how: str, change: str) -> str:
        self._db.execute("INSERT OR IGNORE INTO ended VALUES (?, ?)", (txn, how))
        _die_if(fault == "during")
        ((ended,),) = self._db.execute("SELECT how FROM ended WHERE txn = ?", (txn,))
        if ended == how:
            self._db.execute(f"UPDATE item SET {change} WHERE holder = ?", (txn,))
            self._db.execute("DELETE FROM intent WHERE txn = ?", (txn,))
        return str(ended)

    def place(self, fault: str, id: str, txn: str, user: int, items: dict[str, int], services: dict[str, str]) -> str:
        """Commit on both sides, and write the order under its id."""
        for kind in items:
            if call(services[kind], "commit", txn=txn) != "commit":
                return "aborted"
            _die_if(fault == "during")
        order = (id, txn, user, items["hotel"], items["flight"])
        self._db.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?, ?, ?)", order)
        return "ordered"

    def look(self, fault: str, what: str, key: int) -> list[int]:
        """Read: hotels near a point, rates of hotels, what is recommended, or a user. Nothing changes."""
        del fault
        return [hash((what, key, n)) % 100 for n in range(5)]

    def stock(self, fault: str, items: int, capacity: int) -> int:
        """Have so many items, each so often."""
        del fault
        rows = [(n, capacity, capacity) for n in range(items)]
        self._db.executemany("INSERT OR IGNORE INTO item VALUES (?, ?, ?, NULL)", rows)
        return items


def _die_if(is_so: bool) -> None:
    if is_so:
        os.kill(os.getpid(), signal.SIGKILL)


def call(url: str, name: str, **said: Any) -> Any:
    """Call a function behind HTTP; `OSError` where it died, or its reply was lost."""
    address = urllib.parse.urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 80, timeout=10)
    try:
        connection.request("POST", f"/{name}", json.dumps(said), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise OSError(f"{url}/{name}: {type(error).__name__}") from error
    finally:
        connection.close()
    if response.status != 200:
        raise OSError(f"{url}/{name}: {response.status}")
    return json.loads(body)


def serve(kind: str, folder: Path, faults: float, latency_s: float) -> None:
    """Serve one function until stdin ends: print its port, and have a fresh process do the work whenever one died."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler, False)
    server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.server_bind()
    server.socket.listen(512)
    print(server.server_address[1], flush=True)
    over = threading.Event()

    def wait_for_the_end() -> None:
        sys.stdin.read()
        over.set()

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    born = 0
    while not over.is_set():
        born += 1
        child = os.fork()
        if not child:
            _work(server, Service(folder / f"{kind}.db", faults, latency_s, f"{kind} {born}"))
        while not over.wait(0.002):
            if os.waitpid(child, os.WNOHANG)[0]:
                break
        else:
            os.kill(child, signal.SIGKILL)


def _work(server: http.server.ThreadingHTTPServer, service: Service) -> None:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            try:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            except ValueError:
                return  # who asked has died in the middle of it
            try:
                answer = service.answer(self.path[1:], said)
            except OSError as error:  # another function that this one has called died
                with suppress(OSError):
                    self.send_error(502, str(error))
                return
            if answer is None:
                self.connection.close()  # the reply is lost
                return
            body = json.dumps(answer).encode()
            with suppress(OSError):  # who asked has died meanwhile
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    parent = os.getppid()
    server.RequestHandlerClass = Handler
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(0)


@contextmanager
def functions(folder: Path, *, faults: float = 0.0, latency_s: float = 0.0) -> Iterator[dict[str, str]]:
    """Have all functions served, and give their URLs."""
    with ExitStack() as stack:
        urls = {}
        for kind in KINDS:
            command = [sys.executable, __file__, "--serve", kind, str(folder), str(faults), str(latency_s)]
            process = stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            assert process.stdout is not None
            urls[kind] = f"http://127.0.0.1:{process.stdout.readline().strip()}"
        yield urls


def stock(folder: Path, items: int, capacity: int) -> None:
    """Have so many hotels and flights, each so often."""
    for kind in ("hotel", "flight"):
        Service(folder / f"{kind}.db", 0.0, 0.0, "").stock("", items, capacity)


# ---------------------------------------------------------------------- the workflow, in ExoFlow's variants


@function(retries=AGAIN, checkpoint="sync")
def reserve(services: dict[str, str], kind: str, item: int) -> str:
    """Lock an item and note that it is to be taken: `held`, `busy` or `sold out`."""
    return str(call(services[kind], "reserve", txn=weftrun.current().run_id, item=item))


@function(retries=AGAIN, effects="none", checkpoint="sync")
def acquire(services: dict[str, str], kind: str, item: int) -> str:
    """Lock an item. Nobody sees the lock but trips that want it too, and locking twice is locking once: no effect."""
    return str(call(services[kind], "acquire", txn=weftrun.current().run_id, item=item))


acquire_behind = acquire.options(checkpoint="async")


@function(retries=AGAIN, effects="none", checkpoint="none")
def intend(services: dict[str, str], kind: str, item: int, held: str) -> str:
    """Note that a locked item is to be taken."""
    if held != "held":
        return held
    return str(call(services[kind], "intend", txn=weftrun.current().run_id, item=item))


@function(retries=AGAIN)
def order(services: dict[str, str], user: int, hotel: int, flight: int, hotel_is: str, flight_is: str) -> str:
    """Order what is held; where one of the two is not, let the other one go. The order's id is the trip's."""
    txn = weftrun.current().run_id
    if hotel_is == flight_is == "held":
        items = {"hotel": hotel, "flight": flight}
        return str(call(services["order"], "place", id=txn, txn=txn, user=user, items=items, services=services))
    for kind in ("hotel", "flight"):
        call(services[kind], "abort", txn=txn)
    return hotel_is if hotel_is != "held" else flight_is


@workflow
async def serial(services: dict[str, str], user: int, hotel: int, flight: int) -> str:
    """One after the other, each result on record before the next begins."""
    first = await reserve.step(services, "hotel", hotel)
    second = await reserve.step(services, "flight", flight)
    return await order.step(services, user, hotel, flight, first, second)


@workflow
def parallel(services: dict[str, str], user: int, hotel: int, flight: int) -> str:
    """Hotel and flight at the same time."""
    held = [reserve(services, "hotel", hotel), reserve(services, "flight", flight)]
    return order(services, user, hotel, flight, *held)


@workflow
def overlapped(services: dict[str, str], user: int, hotel: int, flight: int) -> str:
    """Locks and notes apart: the records of locks are written while notes are made; the order waits for the records."""
    first = intend(services, "hotel", hotel, acquire_behind(services, "hotel", hotel))
    second = intend(services, "flight", flight, acquire_behind(services, "flight", flight))
    return order(services, user, hotel, flight, first, second)


@workflow
def waiting(services: dict[str, str], user: int, hotel: int, flight: int) -> str:
    """As `overlapped`, but notes wait for the records of locks."""
    first = intend(services, "hotel", hotel, acquire(services, "hotel", hotel))
    second = intend(services, "flight", flight, acquire(services, "flight", flight))
    return order(services, user, hotel, flight, first, second)


VARIANTS: dict[str, weftrun.Function[..., Any]] = {
    "serial": serial,
    "parallel": parallel,
    "async": overlapped,
    "no async": waiting,
}


@function(retries=AGAIN, effects="none", checkpoint="none")
def look(services: dict[str, str], what: str, keys: list[int]) -> list[int]:
    """Read something of the catalogue."""
    return list(call(services["catalogue"], "look", what=what, key=sum(keys)))


@workflow
def search(services: dict[str, str], point: int) -> list[int]:
    """Hotels near a point, with their rates."""
    return look(services, "rate", look(services, "geo", [point]))


@workflow
def recommend(services: dict[str, str], point: int) -> list[int]:
    """What others liked there."""
    return look(services, "recommend", [point])


@workflow
def user(services: dict[str, str], number: int) -> list[int]:
    """Who somebody is."""
    return look(services, "user", [number])


# ---------------------------------------------------------------------- what must hold


def wrong(folder: Path, said: dict[str, str]) -> list[str]:
    """Return what is wrong with the stores, in words.

    Args:
        said: what each trip was answered, by its id.
    """
    with sqlite3.connect(folder / "order.db") as db:
        orders = db.execute("SELECT txn, hotel, flight FROM orders").fetchall()
    times = collections.Counter(txn for txn, _, _ in orders)
    found = [f"double order: {txn} was ordered {n} times" for txn, n in times.items() if n > 1]
    found += [f"lost order: {txn}" for txn, answer in said.items() if answer == "ordered" and txn not in times]
    found += [f"unasked order: {txn}, told {said[txn]!r}" for txn in times if said.get(txn, "ordered") != "ordered"]
    for place, kind in enumerate(("hotel", "flight"), 1):
        taken = collections.Counter(row[place] for row in orders)
        with sqlite3.connect(folder / f"{kind}.db") as db:
            for item, capacity, left, holder in db.execute("SELECT * FROM item"):
                if taken[item] > capacity:
                    found.append(f"oversold: {kind} {item} has {taken[item]} orders, and room for {capacity}")
                if left != capacity - taken[item]:
                    found.append(f"miscounted: {kind} {item} has {left} of {capacity} left after {taken[item]} orders")
                if holder is not None:
                    found.append(f"lock left: {kind} {item} is held by {holder}")
            found += [f"note left: {kind}, {txn}" for (txn,) in db.execute("SELECT txn FROM intent")]
    return found


def main() -> int:
    """Reserve trips, and tell what went wrong."""
    parser = argparse.ArgumentParser(description="Reserve trips through functions that die at work.")
    parser.add_argument("--trips", type=int, default=40)
    parser.add_argument("--at-once", type=int, default=4, help="trips that are under way at once")
    parser.add_argument("--items", type=int, default=5, help="hotels, and flights; each has room for 5")
    parser.add_argument("--faults", type=float, default=0.2, help="share of requests that go wrong")
    parser.add_argument("--variant", choices=VARIANTS, default="async")
    parser.add_argument("--serve", nargs=4, metavar=("KIND", "FOLDER", "FAULTS", "LATENCY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        kind, folder, faults, latency_s = given.serve
        serve(kind, Path(folder), float(faults), float(latency_s))
        return 0
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as name, functions(Path(name), faults=given.faults) as services:
        stock(Path(name), given.items, 5)
        with weftrun.open(f"sqlite:///{name}/journal.db") as engine:
            said: dict[str, str] = {}
            under_way: list[weftrun.Run[str]] = []
            for n in range(given.trips):
                hotel, flight = (chance.randrange(given.items) for _ in range(2))
                trip = VARIANTS[given.variant].options(id=f"trip-{n}")
                under_way.append(engine.start(trip, services, n, hotel, flight))
                if len(under_way) == given.at_once or n == given.trips - 1:
                    said |= {run.id: run.result(timeout_s=120) for run in under_way}
                    under_way.clear()
        print(dict(collections.Counter(said.values())))
        found = wrong(Path(name), said)
    print("\n".join(found) or "Nothing is wrong: no double order, nothing oversold, no lock left.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
