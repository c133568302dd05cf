"""`weftrun retry`, and what points to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

APP = """
import os
from weftrun import function, workflow

@function
def pay(n: int) -> int:
    {body}

@function(effects="none")
def book(n: int) -> int:
    with open("ledger", "a") as file:
        file.write("book\\n")
    return n + 1

@workflow
def order(n: int) -> int:
    return pay(book(n))
"""


@pytest.fixture
def failed(spawn, tmp_path: Path):
    """A Run that failed because of a bug."""
    (tmp_path / "orders.py").write_text(APP.format(body="raise ValueError('declined')"))
    run = spawn("run", "orders.py:order", "n=1", "--id", "one")
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1
    assert "weftrun retry one" in err


def mend(tmp_path: Path) -> None:
    (tmp_path / "orders.py").write_text(APP.format(body="return n * 10"))


def test_a_mended_run(cli, failed, tmp_path, spawn):
    old = cli("resume", "one")
    assert old.code == 1
    assert "Run one failed at 2" in old.err and "in an earlier start" in old.err
    assert "retry one" in cli("get", "one").out
    mend(tmp_path)
    again = spawn("retry", "one")
    out, err = again.communicate(timeout=60)
    assert (again.returncode, out) == (0, "20\n"), err
    assert "nothing had to run" not in err
    assert (tmp_path / "ledger").read_text() == "book\n"
    shown = json.loads(cli("get", "one", "--json").out)
    assert (shown["status"], shown["lives"], shown["error"], shown["traceback"]) == ("succeeded", 2, "", "")
    assert "life 2" in cli("get", "one").out
    assert "life 2 of it began" in cli("story", "one").out
    assert [line.split("\t")[-1] for line in cli("steps", "one").out.splitlines()] == ["life", "2", "1", "2"]
    head, row = (line.split("\t") for line in cli("list").out.splitlines())
    assert row[head.index("lives")] == "2"


def test_what_can_not_be_retried(cli, failed, tmp_path, spawn):
    assert cli("retry", "nothing").code == 3
    mend(tmp_path)
    assert spawn("retry", "one").wait(timeout=60) == 0
    told = cli("retry", "one")
    assert (told.code, told.err) == (2, "weftrun: Run one can't be retried: it succeeded, and its answer stands.\n")
    assert cli("delete", "one").code == 0
    assert cli("retry", "one").code == 3


@pytest.mark.sweep
def test_code_that_can_not_be_imported_begins_no_life(cli, failed, tmp_path, spawn):
    (tmp_path / "orders.py").write_text("def broken(:\n")
    again = spawn("retry", "one")
    assert again.wait(timeout=60) == 2
    assert [run["lives"] for run in json.loads(cli("list", "--json").out)] == [1]


def test_help(cli):
    told = cli("retry", "--help").out
    assert "is kept and never run again" in " ".join(told.split()) and "--db" in told
    assert "retry" in cli("--help").out


SAGA = """
import os
from weftrun import function, workflow

@function
def book() -> str:
    return "flight"

@function
def unbook(what: str) -> None:
    pass

@function
def car() -> str:
    if not os.path.exists("mended"):
        raise RuntimeError("no car")
    return "car"

@workflow
async def trip() -> list[str]:
    flight = await book.step()
    try:
        return [flight, await car.step()]
    except RuntimeError:
        await unbook.step(flight)
        raise
"""


def test_a_saga_is_retried_only_by_who_says_so(cli, spawn, tmp_path):
    (tmp_path / "saga.py").write_text(SAGA)
    url = f"sqlite:///{tmp_path / 'other.db'}"
    assert spawn("run", "saga.py", "--id", "s", "--db", url).wait(timeout=60) == 1
    (tmp_path / "mended").touch()
    refused = cli("retry", "s", "--db", url)
    assert refused.code == 2
    assert "Run s went on after car[0] had failed, and did unbook[0]." in refused.err
    assert f"weftrun retry s --db {url} --force" in refused.err
    forced = spawn("retry", "s", "--db", url, "--force")
    assert forced.communicate(timeout=60)[0] == '["flight", "car"]\n'


def test_a_function_of_another_name_begins_no_life(cli, spawn, failed, tmp_path):
    """It would only park the Run again: what is said is what mends it."""
    (tmp_path / "orders.py").write_text(APP.format(body="return n").replace("def order(", "def purchase("))
    again = spawn("retry", "one")
    _, err = again.communicate(timeout=60)
    assert (again.returncode, err.count("\n")) == (2, 1)
    assert "has no Function of that name now" in err and "name='orders:order'" in err
    assert [run["lives"] for run in json.loads(cli("list", "--json").out)] == [1]


def test_what_points_to_a_command_names_the_journal(cli, spawn, tmp_path):
    (tmp_path / "orders.py").write_text(APP.format(body="raise ValueError('declined')"))
    url = f"sqlite:///{tmp_path / 'other.db'}"
    run = spawn("run", "orders.py:order", "n=1", "--id", "one", "--db", url)
    assert f"weftrun retry one --db {url}" in run.communicate(timeout=60)[1]
    assert f"weftrun retry one --db {url}" in cli("get", "one", "--db", url).out
