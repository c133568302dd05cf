"""`weftrun gc`, `backup`, `restore`, `top`, and commands on many Runs at once."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine.conftest import until

import weftrun
from weftrun.assembly import open_reader, place_of
from weftrun.assembly.backup import copy_journal
from weftrun.sdk.bundle import load_file
from weftrun.testing.fixtures import assert_closed

APP = """
import os, time, weftrun
from weftrun import current, function, workflow

@function
def large(n: int) -> bytes:
    return bytes(n)

@function
def tells(n: int) -> int:
    current().emit("post", n)
    return n

@function
def picky(n: int) -> int:
    if not os.path.exists(os.path.join(os.path.dirname(__file__), "mended")):
        raise ValueError("not yet")
    return n

@function
def nap(folder: str) -> str:
    print("napping", flush=True)
    while not os.path.exists(os.path.join(folder, "awake")):
        time.sleep(0.02)
    return folder

@workflow
async def waits(n: int) -> int:
    return await weftrun.signal("go", int)
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator:
    (tmp_path / "many.py").write_text(APP)
    yield load_file(str(tmp_path / "many.py"), "many")
    del sys.modules["many"]


@pytest.fixture
def engine(journal: Path) -> Iterator[weftrun.Engine]:
    with weftrun.open(f"sqlite:///{journal}", sandboxes=2) as opened:
        yield opened


def ids(cli) -> dict[str, str]:
    return {run["id"]: run["status"] for run in json.loads(cli("list", "--json").out)}


def test_gc(cli, app, engine, journal):
    for n in range(3):
        engine.run(app.large.options(id=f"large-{n}"), 100_000 + n)
    engine.run(app.tells.options(id="tells"), 1)
    with pytest.raises(ValueError, match="not yet"):
        engine.run(app.picky.options(id="failed"), 1)
    engine.start(app.waits.options(id="waits"), 1)
    assert json.loads(cli("gc", "--older-than", "1h", "--json").out)["runs"] == 0
    assert "3 Runs would be deleted; 1 stay, since what they emitted" in cli("gc", "--older-than", "0", "--dry-run").out
    assert len(ids(cli)) == 6
    told = cli("gc", "--older-than", "0s").out
    assert told.startswith("3 Runs deleted;") and "values beside the Journal are removed by the next gc" in told
    assert ids(cli) == {"tells": "succeeded", "failed": "failed", "waits": "running"}
    assert cli("get", "large-0").code == 3, "its id stays taken"
    with pytest.raises(weftrun.RunConflict):
        engine.run(app.large.options(id="large-0"), 1)
    assert json.loads(cli("gc", "--older-than", "0", "--status", "ended", "--forget", "--json").out)["runs"] == 1
    with pytest.raises(ValueError, match="not yet"):
        engine.run(app.picky.options(id="failed"), 2)
    engine.close()
    (freed,) = [json.loads(cli("gc", "--older-than", "0", "--status", "failed", "--json").out)]
    assert (freed["runs"], freed["values"], freed["values_stay"]) == (1, 3, False)
    assert list((journal.parent / "journal.db.d" / "blobs").iterdir()) == []


def test_gc_of_bad_ages(cli):
    for age in ("x", "-1", "1y"):
        assert cli("gc", "--older-than", age).code == 2
    assert cli("gc").code == 2


def test_copies_that_can_not_be_are_told_and_leave_nothing(cli, tmp_path, journal):
    there = sorted(tmp_path.iterdir())
    said = cli("backup", "copy.db")
    assert (said.code, "There is no Journal at" in said.err) == (4, True), said.err
    said = cli("restore", "copy.db")
    assert (said.code, "There is no file copy.db to be restored" in said.err) == (4, True), said.err
    (tmp_path / "text.db").write_text("no Journal")
    said = cli("restore", "text.db")
    assert (said.code, "text.db" in said.err, journal.exists()) == (4, True, False), said.err
    said = cli("restore", "text.db", "--db", "sqlite:///misspelt/j.db")
    assert (said.code, "There is no folder" in said.err) == (2, True), said.err
    (tmp_path / "text.db").unlink()
    assert sorted(tmp_path.iterdir()) == there
    assert cli("queue", "set", "emails", "--create").code == 0
    assert cli("backup", "copy.db").code == 0
    said = cli("restore", "copy.db")
    assert (said.code, "nothing is restored over one" in said.err) == (2, True), said.err


def test_a_backup_is_the_journal_of_one_moment(cli, app, engine, journal, tmp_path):
    """It is made while Runs end, and goes on as a Journal of its own."""
    engine.start(app.waits.options(id="waits"), 1)
    engine.run(app.large.options(id="before"), 100_000)
    stop = threading.Event()

    def write() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            engine.run(app.large.options(id=f"while-{n}"), 70_000 + n)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        copied = [copy_journal(place_of(f"sqlite:///{journal}"), tmp_path / f"copy-{n}.db", say) for n in range(2)]
    finally:
        stop.set()
        writer.join()
    assert [one.missing for one in copied] == [0, 0]
    for n in range(2):
        assert_closed(f"sqlite:///{tmp_path}/copy-{n}.db")
        reader = open_reader(f"sqlite:///{tmp_path}/copy-{n}.db")
        assert all(not info.owner for info in reader.runs()), "the engine of the original owns nothing there"
        reader.close()
    assert cli("backup", str(tmp_path / "copy-0.db")).code == 2, "it is there already"
    assert cli("backup", str(tmp_path / "nowhere" / "copy.db")).code == 2
    assert cli("restore", str(tmp_path / "nothing.db"), "--db", f"sqlite:///{tmp_path}/again.db").code == 4
    assert not (tmp_path / "again.db").exists()
    told = cli("restore", str(tmp_path / "copy-0.db"), "--db", f"sqlite:///{tmp_path}/again.db", "--json")
    assert json.loads(told.out)["values"] == copied[0].values
    with weftrun.open(f"sqlite:///{tmp_path}/again.db", sandboxes=1) as again:
        assert again.run(app.large.options(id="before"), 100_000) == bytes(100_000)
        run = again.get("waits")
        run.signal("go", 7)
        assert run.result(timeout_s=60) == 7


def say(done: int, of: int) -> None:
    assert 0 <= done <= of


def test_a_damaged_value_is_not_copied(cli, app, engine, journal, tmp_path):
    engine.run(app.large.options(id="one"), 100_000)
    (blob,) = (journal.parent / "journal.db.d" / "blobs").iterdir()
    blob.chmod(0o600)
    blob.write_bytes(b"x" * blob.stat().st_size)
    came = cli("backup", str(tmp_path / "copy.db"))
    assert (came.code, "is damaged" in came.err) == (4, True)
    assert not (tmp_path / "copy.db").exists() and not (tmp_path / "copy.db.d").exists()
    blob.unlink()
    came = cli("backup", str(tmp_path / "copy.db"))
    assert (came.code, "1 value that records name could not be copied" in came.err) == (0, True)


def test_many_runs_at_once(cli, app, engine, tmp_path):
    for n in range(3):
        with pytest.raises(ValueError, match="not yet"):
            engine.run(app.picky.options(id=f"picky-{n}"), n)
    for n in range(2):
        engine.start(app.waits.options(id=f"waits-{n}"), n)
    engine.close()
    assert cli("retry").code == cli("cancel").code == cli("resume").code == 2
    assert cli("retry", "picky-0", "--status", "failed").code == 2
    assert "picky-1\tfailed\tmany:picky" in cli("retry", "--begins", "picky", "--dry-run").out
    again = cli("retry", "--function", "many:picky", "--json")
    assert (again.code, [run["status"] for run in json.loads(again.out)]) == (1, ["failed"] * 3)
    (tmp_path / "mended").touch()
    assert cli("retry", "--status", "failed").out == "".join(f"picky-{n}\tsucceeded\t\n" for n in range(3))
    gone = cli("cancel", "--begins", "waits", "--json")
    assert [run["status"] for run in json.loads(gone.out)] == ["cancelled"] * 2
    assert json.loads(cli("resume", "--status", "open", "--json").out) == []


def test_what_goes_on_now(cli, app, engine, tmp_path):
    run = engine.start(app.nap.options(id="sleeper"), str(tmp_path))
    waits = engine.start(app.waits.options(id="waits"), 1)
    until(lambda: bool(run.steps()[0].running))
    told = json.loads(cli("top", "--json").out)
    assert [run["id"] for run in told["runs"]] == ["sleeper", "waits"]
    assert (told["sandboxes"], sum(told["engines"].values()) >= 1) == (1, True)
    shown = cli("top").out
    assert "2 open Runs, 1 Sandbox at work" in shown and "sleeper" in shown and "napping" in shown
    (tmp_path / "awake").touch()
    assert run.result(timeout_s=60) == str(tmp_path)
    waits.cancel()
