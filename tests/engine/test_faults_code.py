"""Code that changed between a crash and the next engine: what is on record stands, new code runs what is left."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.leftovers import nothing_left, wait_until, warm  # noqa: F401
from tests.sweeping import shared

from weftrun.assembly import open_reader
from weftrun.model.records import Settled
from weftrun.views.story import story

SCRIPT = """
import json, os, sys, time
import weftrun
from pathlib import Path

def enter(ledger, what):
    with open(ledger, "a") as file:
        file.write(what + "\\n")

@weftrun.function(effects="none")
def first(x, ledger):
    enter(ledger, "first")
    return x + 1

@weftrun.function
def second(x, ledger, go):
    enter(ledger, "second")
    while not os.path.exists(go):
        time.sleep(0.002)
    return x * 10

@weftrun.workflow
def wired(x, ledger, go):
    return second(first(x, ledger), ledger, go)

@weftrun.workflow
async def watched(x, ledger, go):
    return await second.step(await first.step(x, ledger), ledger, go)

if __name__ == "__main__":
    url, name, *words = sys.argv[1:]
    with weftrun.open(url, sandboxes=1) as engine:
        run = engine.start(globals()[name].options(id="run"), 1, *words)
        try:
            print(json.dumps(run.result()))
        except weftrun.WeftrunError as error:
            print(type(error).__name__, error)
"""


def settled(url: str) -> set[str]:
    """Return the Steps whose outcome is durable."""
    if not Path(url.removeprefix("sqlite:///")).exists():
        return set()
    reader = open_reader(url)
    try:
        info = reader.find("run")
        rows = reader.load(info.uid) if info is not None else []
    finally:
        reader.close()
    records = [record for row in rows for record in row.records if isinstance(record, Settled)]
    return {str(outcome.step) for record in records for outcome in record.outcomes}


def told(url: str) -> str:
    """Return the story of the Run."""
    reader = open_reader(url)
    try:
        info = reader.find("run")
        assert info is not None
        return "\n".join(sentence.text for sentence in story(reader.load(info.uid), reader.trace(info.uid)))
    finally:
        reader.close()


def crash_and_run_again(url: str, folder: Path, name: str, *changes: tuple[str, str]) -> str:
    """Kill the script while `second` runs, change it, run it again, and return what it said."""
    script, ledger, go = folder / "changing.py", folder / "ledger", folder / "go"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script), url, name, str(ledger), str(go)]
    process = subprocess.Popen(command, env=environment)
    wait_until(lambda: ledger.exists() and "second" in ledger.read_text(), "the second Step was entered")
    wait_until(lambda: "first[0]" in settled(url), "the first Step is durable")
    process.kill()
    process.wait()
    text = SCRIPT
    for old, new in changes:
        assert text.count(old) == 1
        text = text.replace(old, new)
    script.write_text(text)
    go.touch()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert_closed(url)
    return done.stdout.strip()


NOTE = "has changed since it was recorded: recorded graphs and outcomes stand, and the new code runs what is left."


@pytest.mark.parametrize("name", shared(["watched", "wired"]))
def test_recorded_outcomes_stand_and_new_code_runs_the_rest(url: str, tmp_path: Path, name: str) -> None:
    said = crash_and_run_again(url, tmp_path, name, ("x + 1", "x + 1000"), ("x * 10", "x * 7"))
    assert said == "14"
    assert (tmp_path / "ledger").read_text().split() == ["first", "second", "second"]
    assert NOTE in told(url)
    assert "changing:first" in told(url)


def test_a_recorded_graph_stands(url: str, tmp_path: Path) -> None:
    """B1: a `def` body is never entered again, so that its new code has no say."""
    change = ("return second(first(x, ledger), ledger, go)", "return first(x, ledger)")
    assert crash_and_run_again(url, tmp_path, "wired", change) == "20"
    assert "The code of changing:wired has changed" in told(url)


def test_an_async_body_that_calls_something_else_now_is_told(url: str, tmp_path: Path) -> None:
    change = ("await first.step(x, ledger)", "await first.step(x + 5, ledger)")
    assert crash_and_run_again(url, tmp_path, "watched", change).startswith("ReplayDiverged")
    assert (tmp_path / "ledger").read_text().split() == ["first", "second"]


def test_code_that_did_not_change_is_not_told_of(url: str, tmp_path: Path) -> None:
    assert crash_and_run_again(url, tmp_path, "watched") == "20"
    assert NOTE not in told(url)
