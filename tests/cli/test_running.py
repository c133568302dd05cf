"""What runs now, as another process sees it: since when, where, what it has printed, and who has the Run."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable

import pytest

PATIENCE_S = 60.0


def until(seen: Callable[[], object]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + PATIENCE_S
    while not seen():
        assert time.monotonic() < deadline, "it has not come about"
        time.sleep(0.05)


def seen_running(cli, run: str, n: int) -> Callable[[], bool]:
    def seen() -> bool:
        said = cli("get", run, "--json")
        return said.code == 0 and len(json.loads(said.out)["running"]) == n

    return seen


@pytest.mark.sweep
def test_what_runs_is_seen_and_what_a_dead_engine_ran_is_told_as_such(cli, words, spawn, tmp_path):
    engine = spawn("run", words("waits"), f"name={tmp_path}/go", "--id", "one", "--sandboxes", "2")
    until(seen_running(cli, "one", 2))
    follower = spawn("logs", "one", "--follow")

    where = rf"in Sandbox \d+ of engine {engine.pid} on {re.escape(os.uname().nodename)}"
    shown = cli("get", "one").out
    assert f"  engine {engine.pid} on this host has it" in shown
    assert re.search(rf"^  wait_for\[0\]: running for \d.* s {where}: half a line$", shown, re.MULTILINE)
    assert re.search(rf"^  program\[0\]: running for \d.* s {where}: from the program$", shown, re.MULTILINE)
    table = {row.split("\t")[0]: row.split("\t") for row in cli("steps", "one").out.splitlines()}
    assert table["wait_for[0]"][1] == "running"
    assert "half a line" in table["wait_for[0]"][-1]
    (view,) = next(v["running"] for v in json.loads(cli("steps", "one", "--json").out) if v["id"] == "wait_for[0]")
    assert (view["pid"], view["lives"], view["text"]) == (engine.pid, True, "waiting 0\nhalf a line")
    assert view["entered_at"] <= view["seen_at"] - 1.0
    logs = cli("logs", "one", "wait_for[0]").out
    assert "waiting 0\nhalf a line\n" in logs
    assert ">" in cli("timeline", "one").out
    spans = [span for lane in json.loads(cli("timeline", "one", "--json").out)["lanes"] for span in lane["spans"]]
    assert {span["step"] for span in spans if span["is_running"]} == {"wait_for[0]", "program[0]"}
    assert follower.stdout is not None
    assert {follower.stdout.readline(), follower.stdout.readline()} == {
        "wait_for[0] │ waiting 0\n",
        "program[0] │ from the program\n",
    }

    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    until(lambda: "has ended" in cli("get", "one").out)
    assert f"engine {engine.pid} on this host had it and has ended" in cli("get", "one").out
    steps = cli("steps", "one")
    assert re.search(rf"was running {where} when that was last seen, .* ago: half a line", steps.out)
    assert "weftrun resume one" in steps.err
    assert follower.stderr is not None
    assert f"engine {engine.pid} on this host had it and has ended" in follower.stderr.readline()

    (tmp_path / "go").touch()
    assert cli("resume", "one").code == 0
    out, err = follower.communicate(timeout=PATIENCE_S)
    assert follower.returncode == 0
    assert "wait_for[0] │ half a line" in out
    assert err.endswith("Run one has succeeded.\n")
    got = json.loads(cli("get", "one", "--json").out)
    assert (got["epoch"], got["takeovers"], got["running"], got["owner"]) == (2, 1, [], None)
    assert "taken over 1 time (epoch 2)" in cli("get", "one").out
    (listed,) = json.loads(cli("list", "--json").out)
    assert (listed["epoch"], listed["takeovers"]) == (2, 1)
    line = json.loads(cli("timeline", "one", "--json").out)
    assert [mark["kind"] for mark in line["marks"]] == ["engine", "crash", "takeover"]
    assert line["time_breakdown"]["chain_s"] <= line["time_breakdown"]["running_s"] <= line["time_breakdown"]["wall_s"]
    assert "↻" in cli("timeline", "one").out
    printed = [text["text"] for text in json.loads(cli("logs", "one", "wait_for[0]", "--json").out)]
    assert printed == ["waiting 0\nhalf a line", "waiting 0\nhalf a line, whole\n"], "of both engines"


def test_a_run_that_is_due_later_says_when(cli, words, spawn):
    engine = spawn("run", words("tomorrow"), "--id", "later")
    until(lambda: cli("get", "later").code == 0 and "is due" in cli("get", "later").out)
    offset = time.strftime("%z")[:3] + ":" + time.strftime("%z")[3:]
    due = rf"not_today\[0\]: Attempt 2 is due \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d{re.escape(offset)} \(in \d+ min \d\d s\)"
    assert re.search(due, cli("get", "later").out)
    assert re.search(r"Attempt 2 is due .* ValueError: closed", cli("steps", "later").out)
    engine.send_signal(signal.SIGINT)
    engine.wait(PATIENCE_S)
    said = cli("get", "later").out
    assert "no engine has it" in said
    assert "weftrun resume later" in said


def test_what_an_async_body_has_printed_is_told_while_it_waits_and_once_though_it_is_replayed(
    cli, words, spawn, tmp_path
):
    engine = spawn("run", words("rounds"), f"name={tmp_path}/go", "--id", "rounds")
    until(lambda: cli("logs", "rounds", "rounds").out.count("round ") == 2)
    assert json.loads(cli("get", "rounds", "--json").out)["status"] == "running"
    os.kill(engine.pid, signal.SIGKILL)
    engine.wait()
    (tmp_path / "go").touch()
    assert cli("resume", "rounds").code == 0
    told = [text for text in json.loads(cli("logs", "rounds", "--json").out) if text["step"] == "rounds"]
    assert "".join(text["text"] for text in told) == "round 0\nround 1\nround 2\n"
