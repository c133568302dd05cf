"""`weftrun.testing.crashes`: a user's own workflow under every crash."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from tests.sim import orders
from tests.sweeping import shared

import weftrun
from weftrun.testing import crashes
from weftrun.testing.crashes import every_crash, random_crashes
from weftrun.testing.sim.faults import Fault

ITEMS = ["cup", "bowl"]


def lines(ledger: Path) -> list[str]:
    """Return what the ledger has, and empty it for the next history."""
    told = ledger.read_text().splitlines()
    ledger.unlink()
    return told


@pytest.mark.parametrize("engines", shared([1, 2]))
def test_every_history_ends_with_the_same_answer(tmp_path: Path, engines: int) -> None:
    ledger = tmp_path / "ledger"
    faults: Counter[str] = Counter()
    for history in every_crash(orders.paid, 250, str(ledger), engines=engines):
        assert history.result() == "charged 250", str(history)
        assert len(lines(ledger)) == 1, str(history)
        faults.update(history.faults)
    assert sum(faults.values()) > 30
    assert {fault.split(": ")[1] for fault in faults} == {str(f) for f in Fault if "PAUSE" not in f.name or engines > 1}


def test_an_effect_without_a_key_is_seen_to_repeat(tmp_path: Path) -> None:
    """The loop finds what the author has forgotten."""
    ledger = tmp_path / "ledger"
    charged = [lines(ledger) for history in every_crash(orders.unpaid, 250, str(ledger)) if history.result()]
    assert max(map(len, charged)) == 2
    assert all(len(set(told)) == 1 for told in charged)


def test_what_was_entered_is_told(tmp_path: Path) -> None:
    history = next(every_crash(orders.order, ITEMS, str(tmp_path / "ledger")))
    assert (history.number, history.faults, str(history)) == (0, (), "history 0: nothing goes wrong")
    steps = Counter(entered.step for entered in history.entered)
    # The Run was suspended for the minutes until the next Attempt, and its body replayed when it was due.
    assert steps == {"order": 2, "price[0].0": 1, "price[0].1": 1, "pack[0]": 2, "charge[0]": 1, "mail[0]": 1}
    (line,) = lines(tmp_path / "ledger")
    assert [entered.key for entered in history.entered if entered.step == "charge[0]"] == [line.split()[0]]


def test_pairs_of_faults(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    count = 0
    for history in every_crash(orders.paid, 250, str(ledger), pairs=0.02):
        assert history.result() == "charged 250" and len(lines(ledger)) == 1
        count += len(history.faults) == 2
    assert count > 20


def test_a_failure_is_raised(tmp_path: Path) -> None:
    for history in every_crash(orders.sold_out):
        assert history.status == "failed"
        with pytest.raises(ValueError, match="sold out") as caught:
            history.result()
        assert caught.value.__notes__[0] == "in refuse[0]"


@pytest.mark.sweep
def test_seeds_are_histories(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"

    def played() -> list[str]:
        told = []
        for history in random_crashes(orders.order, ITEMS, str(ledger), seeds=range(30)):
            assert history.result() == "mailed cup+bowl: charged 700" and len(lines(ledger)) == 1
            told.append(f"{history} {history.entered}")
        return told

    first = played()
    assert first == played()
    assert len(set(first)) == 30


def test_arrays() -> None:
    for history in every_crash(orders.arrays, 3_000):
        assert np.array_equal(history.result(), np.arange(3_000))


def test_wrong_arguments_are_told_at_once() -> None:
    with pytest.raises(TypeError, match="positional"):
        next(every_crash(orders.order, 1, 2, 3, 4))


@pytest.mark.sweep
def test_transactions() -> None:
    """What they do to the author's tables is there once, whatever goes wrong, with several engines, too."""
    every = every_crash(orders.taken, "cup", tables=orders.TABLES)
    drawn = random_crashes(orders.taken, "cup", seeds=range(20), tables=orders.TABLES)
    count = 0
    for history in itertools.chain(every, drawn):
        assert history.result() == 3, str(history)
        assert history.query("SELECT left FROM app_stock WHERE item = ?", "cup") == [(3,)], str(history)
        count += 1
    assert count > 70
    with pytest.raises(weftrun.UsageError, match=r"history \d+ is gone. Ask before the next"):
        history.query("SELECT 1")


@pytest.mark.sweep
def test_a_statement_is_refused_as_ever() -> None:
    for history in every_crash(orders.taken_carelessly, "cup", tables=orders.TABLES):
        assert history.result() == "SQLite refused a statement: no such column: unknown."
        assert history.query("SELECT * FROM app_stock") == [("cup", 5)]


def test_a_broken_promise_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(crashes, "findings", lambda world: ["a Step had two values"])
    with pytest.raises(crashes.BrokenPromise, match=r"a Step had two values\nseed 1"):
        next(every_crash(orders.sold_out))


def test_nothing_of_it_is_left(tmp_path: Path) -> None:
    """Somebody who breaks out of the loop leaves no engine and no file."""
    for _ in every_crash(orders.sold_out):
        break
    with pytest.raises(weftrun.UsageError, match="outside the body"):
        weftrun.current()
