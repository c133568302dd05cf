"""The soak: bounded, resumable, and honest about what it played."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from weftrun.testing import soak
from weftrun.testing.soak import Played, SoakState


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(soak.main, list(map(str, arguments)), catch_exceptions=False)
    return result.exit_code, result.stdout if result.exit_code < 2 else result.output


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "soak.json"


@pytest.mark.sweep
def test_it_goes_on_where_it_stopped(path: Path) -> None:
    assert run("--seeds", 20, "--processes", 1, "--state", path)[0] == 0
    first = soak.load(path, soak.code_digest())
    assert {(played.seeds, played.next) for played in first.swarms.values()} == {(20, 20)}
    first.swarms["engines"] = Played(next=60, left=[20])
    soak.save(path, first)
    code, told = run("--seeds", 60, "--processes", 1, "--state", path, "--json")
    assert (code, json.loads(told)["swarms"]["engines"]) == (0, {"next": 60, "left": [], "broken": {}})


def runs(pid: str) -> bool:
    """Say whether a process runs: neither gone, nor waiting for somebody who asks how it ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.sweep
def test_a_part_under_way_is_not_lost(path: Path) -> None:
    """Killed in the middle, it plays again what it had not finished."""
    command = [sys.executable, "-m", "weftrun.testing.soak", "--processes", "2", "--state", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 60
    while not path.exists() and time.monotonic() < end:
        time.sleep(0.01)
    played = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.wait()
    while any(runs(pid) for pid in played):
        assert time.monotonic() < end, "its processes end with it"
        time.sleep(0.01)
    state = soak.load(path, soak.code_digest())
    assert 1 <= len(state.swarms["engines"].left) <= 2


def test_violations_are_told(path: Path) -> None:
    state = SoakState(soak.code_digest(), {name: Played(next=20) for name in soak.SWARMS})
    state.swarms["engines"].broken[7] = "a Step had two values"
    soak.save(path, state)
    code, told = run("--seeds", 20, "--state", path)
    assert code == 1
    assert "engines, seed 7:\na Step had two values" in told and "engines 20 seeds, 1 violations" in told


def test_other_code_begins_anew(path: Path) -> None:
    soak.save(path, SoakState("other", {"engines": Played(next=40)}))
    assert soak.load(path, soak.code_digest()).swarms == {}


@pytest.mark.sweep
def test_it_ends_in_time(path: Path) -> None:
    assert run("--minutes", 0.0001, "--processes", 1, "--state", path)[0] == 0


@pytest.mark.parametrize("words", [("--seeds", 0), ("--minutes", -1), ("--processes", 0)])
def test_numbers_that_can_not_be(path: Path, words: tuple[object, ...]) -> None:
    code, told = run(*words, "--state", path)
    assert code == 2 and "must be more than 0" in told


def test_a_file_that_is_none_of_its_own(path: Path) -> None:
    path.write_text("not a soak")
    code, told = run("--state", path)
    assert code == 2 and f"{path} can't be read as what a soak has played" in told
    assert path.read_text() == "not a soak"
