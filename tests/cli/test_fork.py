"""`weftrun fork`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import weftrun
from weftrun.sdk.bundle import load_file

APP = """
from weftrun import function, workflow

@function
def book(n: int) -> int:
    with open("ledger", "a") as file:
        file.write("book\\n")
    return n + 1

@function
def pay(n: int, fee: int = 0) -> int:
    {body}

@workflow
async def order(n: int, fee: int) -> int:
    return await pay.step(await book.step(n), fee)
"""


def write(folder: Path, body: str) -> None:
    (folder / "orders.py").write_text(APP.format(body=body))


def test_a_fork_with_other_code_and_with_other_arguments(cli, spawn, journal, tmp_path):
    write(tmp_path, "return n * 10 + fee")
    with weftrun.open(f"sqlite:///{journal}", sandboxes=1) as engine:
        assert engine.run(load_file(str(tmp_path / "orders.py"), "orders").order.options(id="one"), 1, 0) == 20
    del sys.modules["orders"]
    write(tmp_path, "return n * 100 + fee")
    fork = spawn("fork", "one", "--from", "pay[0]", "--id", "two", "--json")
    out, err = fork.communicate(timeout=60)
    assert (fork.returncode, json.loads(out)) == (0, {"id": "two", "status": "succeeded", "result": 200}), err
    other = spawn("fork", "one", "--from", "pay[0]", "--arguments", '{"n": 1, "fee": 5}')
    assert (other.communicate(timeout=60)[0], other.returncode) == ("205\n", 0)
    assert (tmp_path / "ledger").read_text() == "book\n"
    assert "It is a fork of Run one" in cli("story", "two").out
    assert "Run two was forked from this one" in cli("story", "one").out
    refused = cli("fork", "one", "--from", "pay[1]")
    assert (refused.code, "Did you mean pay[0]" in refused.err) == (2, True)
    wrong = cli("fork", "one", "--from", "pay[0]", "--arguments", '{"n": "x", "fee": 1}')
    assert (wrong.code, "n" in wrong.err) == (2, True)
    assert cli("fork", "nobody", "--from", "pay[0]").code == 3
    assert cli("fork", "one", "--from", "pay[0]", "--id", "one").code == 5
    assert cli("fork", "one").code == 2
