"""`weftrun outbox`: what was emitted and not delivered, and deciding about it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from tests.engine.emitting import Watched, order

import weftrun
from weftrun.assembly import Reader, place_of
from weftrun.entrypoints.cli import options
from weftrun.model.errors import JournalError
from weftrun.sinks import Answer, Result


@pytest.fixture
def keys(kept) -> list[str]:
    """Two emits: one was refused, one waits behind it."""

    def run() -> None:
        sink = Watched(math.inf, lambda message: Result(Answer.REFUSED, "no such customer"))
        with weftrun.open(sandboxes=1, sinks={"orders": sink}) as engine:
            engine.run(order.options(id="first"), 1, "ada")
        with weftrun.open(sandboxes=1) as engine:
            engine.run(order.options(id="second"), 2, "ada")

    kept("emits", run)
    with weftrun.open(sandboxes=1) as engine:
        return [engine.get(id).result(60) for id in ("first", "second")]


def test_what_is_shown(cli, keys):
    rows = [line.split("\t") for line in cli("outbox").out.splitlines()]
    assert [(row[0], row[1], row[3], row[6]) for row in rows[1:]] == [
        (keys[0], "first", "refused", "no such customer"),
        (keys[1], "second", "waiting", ""),
    ]
    only = cli("outbox", "--json", "--limit", "1")
    assert [(e["key"], e["order_by"], e["delivery_status"]) for e in json.loads(only.out)] == [
        (keys[0], "ada", "refused")
    ]
    assert "More than 1 are" in only.err
    assert cli("outbox", "--limit", "2").err == ""
    assert [line.split("\t")[-1] for line in cli("list").out.splitlines()] == ["undelivered", "1", "1"]
    assert "was refused by orders (no such customer): mend what is wrong" in cli("story", "first").out
    assert "2 emits not delivered, 1 of them unknown or refused" in cli("doctor").out
    assert "is not delivered" in cli("delete", "second").err


def test_deciding(cli, keys):
    sink = Watched(math.inf)
    assert "waits: an engine that has its sink sends it" in cli("outbox", "--send", keys[0]).out
    assert json.loads(cli("outbox", "--drop", keys[1], "--json").out) == {"key": keys[1], "delivery_status": "dropped"}
    with weftrun.open(sandboxes=1, sinks={"orders": sink}) as engine:
        engine.run(order, 3, "ada")
    assert sink.payloads == [b'{"number":1}', b'{"number":3}']
    assert "was dropped, not to be delivered to orders" in cli("story", "second").out
    assert cli("outbox").out.splitlines()[1:] == []
    assert [info["undelivered"] for info in json.loads(cli("list", "--json").out)] == [0, 0, 0]
    assert cli("outbox", "--send", "x", "--drop", "y").code == 2
    assert cli("delete", "second").code == 0


@pytest.mark.parametrize("key", ["", "nope", "0badcafe" * 4 + "/order[0]/0"])
def test_a_key_that_no_emit_has(cli, keys, key):
    for option in ("--send", "--drop"):
        said = cli("outbox", option, key)
        assert (said.code, said.out) == (3, "")
        assert f"No emit {key!r}" in said.err
    assert len(cli("outbox").out.splitlines()) == 3


def test_one_that_was_delivered_is_not_sent_again(cli, keys):
    cli("outbox", "--send", keys[0])
    with weftrun.open(sandboxes=1, sinks={"orders": (sink := Watched(math.inf))}) as engine:
        engine.run(order, 3, "ada")
    assert len(sink.payloads) == 3
    assert cli("outbox", "--send", keys[0]).code == 3


SHOP = """
import weftrun
from weftrun import function, sinks

@function
def order(number: int) -> int:
    weftrun.current().emit("orders", {"number": number})
    return number

def to_files():
    return {"orders": sinks.File("orders.jsonl")}

def fails():
    raise ValueError("no token")

def lacks():
    return {"orders": 3}

made_of_a_class = {"orders": sinks.File}
three = 3
class Silly(sinks.File):
    dedupes_for_s = float("nan")

silly = {"orders": Silly("orders.jsonl")}


class Vague(sinks.File):
    dedupes_for_s = None


vague = {"orders": Vague("orders.jsonl")}
"""


@pytest.fixture
def shop(tmp_path: Path) -> str:
    path = tmp_path / "shop.py"
    path.write_text(SHOP)
    return str(path)


def test_a_run_whose_sinks_are_named(cli, shop):
    """What an earlier one left is delivered, too."""
    left = cli("run", shop, "number=1", "--id", "first")
    assert left.code == 0
    assert left.err.splitlines()[-1] == "1 emit not delivered (1 to 'orders'): `weftrun outbox` shows how they stand."
    done = cli("run", shop, "number=2", "--id", "second", "--sinks", f"{shop}:to_files")
    assert (done.code, done.out) == (0, "2\n")
    assert "not delivered" not in done.err
    assert Path("orders.jsonl").read_text().splitlines() == ['{"number":1}', '{"number":2}']
    assert cli("outbox").out.splitlines()[1:] == []


def test_a_journal_that_goes_away_before_the_last_look(cli, shop, monkeypatch):
    class Gone(Reader):
        def emits_left(self, uids):
            raise JournalError("gone")

    monkeypatch.setattr(options, "open_reader", lambda db: Gone(place_of(db)))
    done = cli("run", shop, "number=1")
    assert (done.code, done.out) == (0, "1\n")
    assert "not delivered" not in done.err


def test_sinks_of_a_run_that_is_resumed(cli, shop):
    cli("run", shop, "number=1", "--id", "first")
    assert cli("resume", "first", "--sinks", f"{shop}:to_files").code == 0
    assert Path("orders.jsonl").read_text() == '{"number":1}\n'


def test_a_resume_is_told_with_the_sinks_of_the_run(cli):
    named = options.EngineOptions(None, None, None, None, None, None, None, "app.py:to files").words
    assert options.again("resume", "a b", "sqlite:///x.db", named) == (
        "weftrun resume 'a b' --db sqlite:///x.db --sinks 'app.py:to files'"
    )


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "names no sinks: write FILE.py:SINKS"),
        (":nope", "There is no nope in"),
        (":fails", "no token"),
        (":lacks", "sinks['orders'] is no sink: int has no deliver"),
        (":made_of_a_class", "sinks['orders'] is the class FileSink: make one of it"),
        (":three", "sinks is of type int: give a dict"),
        (":silly", "declares dedupes_for_s=nan: it takes seconds"),
        (":vague", "declares dedupes_for_s=None: it takes seconds"),
    ],
)
def test_what_is_no_sink_is_refused_before_anything_runs(cli, shop, journal, name, why):
    said = cli("run", shop, "number=1", "--sinks", shop + name)
    assert (said.code, said.out) == (2, "")
    assert why in said.err
    assert not journal.exists()


def test_a_run_without_records_has_no_sinks(cli, shop):
    assert cli("run", shop, "number=1", "--inline", "--sinks", f"{shop}:to_files").code == 2
