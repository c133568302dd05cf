"""The travel reservation: functions that die at work, engines that are killed, and what must hold all the same."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from examples import reservation as travel
from tests.engine.leftovers import wait_until
from tests.examples.conftest import ROOT
from tests.sweeping import shared

ITEMS, CAPACITY, TRIPS = 3, 2, 9
KILLS = 1
ENGINE = """
import json, random, sys, weftrun
from examples import reservation as travel

url, variant, services, trips, items = sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), *map(int, sys.argv[4:6])
chance = random.Random(7)
said = {}
with weftrun.open(url, sandboxes=4) as engine:
    runs = []
    for n in range(trips):
        trip = travel.VARIANTS[variant].options(id=f"trip-{n}")
        runs.append(engine.start(trip, services, n, chance.randrange(items), chance.randrange(items)))
        if len(runs) == 3 or n == trips - 1:
            said |= {run.id: run.result(timeout_s=100) for run in runs}
            print(len(said), flush=True)
            runs.clear()
print(json.dumps(said))
"""


def engine(folder: Path, variant: str, services: dict[str, str]) -> subprocess.Popen[str]:
    words = [f"sqlite:///{folder}/journal.db", variant, travel.json.dumps(services), str(TRIPS), str(ITEMS)]
    command = [sys.executable, "-c", ENGINE, *words]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("variant", shared(travel.VARIANTS, keeps=lambda name: name == "async"))
def test_no_double_order_nothing_oversold_no_lock_left(tmp_path: Path, variant: str) -> None:
    """Functions die before, during and after they change their state, replies are lost, and the engine is killed."""
    chance = random.Random(variant)
    with travel.functions(tmp_path, faults=0.2) as services:
        travel.stock(tmp_path, ITEMS, CAPACITY)
        for _ in range(KILLS):
            killed = engine(tmp_path, variant, services)
            assert killed.stdout is not None
            killed.stdout.readline()  # some trips have ended, others are under way
            wait_until(lambda: chance.random() < 0.2, "a moment")
            killed.send_signal(signal.SIGKILL)
            killed.communicate()
        last = engine(tmp_path, variant, services)
        out, _ = last.communicate(timeout=100)
    said = travel.json.loads(out.splitlines()[-1])
    assert len(said) == TRIPS
    assert travel.wrong(tmp_path, said) == []
    assert "ordered" in said.values()


def service(folder: Path, kind: str) -> travel.Service:
    return travel.Service(folder / f"{kind}.db", 0.0, 0.0, "")


def test_what_is_wrong_is_found(tmp_path: Path) -> None:
    """An order under two ids, a lock, a note and an item that was sold twice: all are told."""
    travel.stock(tmp_path, 1, 1)
    for kind in ("order", "catalogue"):
        service(tmp_path, kind)
    assert travel.wrong(tmp_path, {}) == []
    hotel, orders = service(tmp_path, "hotel"), service(tmp_path, "order")
    assert hotel.reserve("", "a", 0) == "held"
    kinds = {sentence.split(":")[0] for sentence in travel.wrong(tmp_path, {"b": "ordered"})}
    assert kinds == {"lock left", "note left", "lost order"}
    for id in ("1", "2"):
        orders._db.execute("INSERT INTO orders VALUES (?, 'a', 0, 0, 0)", (id,))
    kinds = {sentence.split(":")[0] for sentence in travel.wrong(tmp_path, {"a": "busy"})}
    assert {"double order", "oversold", "miscounted", "unasked order"} <= kinds


def test_what_comes_twice_or_late_changes_nothing(tmp_path: Path) -> None:
    travel.stock(tmp_path, 1, 2)
    hotel = service(tmp_path, "hotel")
    assert [hotel.reserve("", "a", 0), hotel.reserve("", "a", 0), hotel.reserve("", "b", 0)] == ["held", "held", "busy"]
    assert [hotel.commit("", "a"), hotel.commit("", "a"), hotel.abort("", "a")] == ["commit"] * 3
    assert hotel.reserve("", "a", 0) == "busy", "a trip that has ended takes nothing more"
    assert [hotel.reserve("", "b", 0), hotel.abort("", "b"), hotel.commit("", "b")] == ["held", "abort", "abort"]
    assert [hotel.reserve("", "c", 0), hotel.commit("", "c"), hotel.reserve("", "d", 0)] == [
        "held",
        "commit",
        "sold out",
    ]
    assert hotel.abort("", "d") == "abort"
    assert hotel._db.execute("SELECT left, holder FROM item").fetchall() == [(0, None)]
