"""Functions that harm their Sandbox: their Attempt ends with one clear sentence, and nothing else is touched."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.engine import faulty as f
from tests.engine.leftovers import descendants, lives, nothing_left, processes_with, wait_until, warm  # noqa: F401

import weftrun

MANY_BYTES = 300_000_000


@pytest.mark.parametrize("function", [f.prints, f.pours], ids=["print", "another program"])
def test_hundreds_of_megabytes_of_text_are_bounded(engine: weftrun.Engine, function: weftrun.Function) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run = engine.start(function, MANY_BYTES)
    assert run.result(100) == MANY_BYTES
    (entry,) = run.logs()
    assert 1_000 < len(entry.text) < 2 * weftrun.model.limits.DEFAULT_LIMITS.text_bytes_max
    assert "bytes left out" in entry.text
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < MANY_BYTES / 4


def test_a_forked_child_that_comes_back_settles_nothing(engine: weftrun.Engine, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    assert engine.run(f.two_come_back, str(ledger)) == 0
    assert sorted(line.split()[1] for line in ledger.read_text().splitlines()) == ["child", "parent"]
    assert engine.run(f.inc, 1) == 2


def test_a_grandchild_ends_with_the_engine(url: str) -> None:
    sign = f"grandchild-{os.getpid()}-of-engine"
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.run(f.leaves_grandchild, sign) == sign
        wait_until(lambda: processes_with(sign), "what it has started is there")
        assert engine.run(f.inc, 1) == 2
    assert not processes_with(sign)


@pytest.mark.parametrize(
    "function",
    [f.sleeps_with_grandchild, f.hears_no_signal_with_grandchild, f.holds_the_interpreter_with_grandchild],
    ids=lambda function: function.__name__,
)
def test_a_timeout_ends_what_the_attempt_has_started(url: str, function: weftrun.Function) -> None:
    sign = f"grandchild-{os.getpid()}-of-{function.__name__}"
    with weftrun.open(url, sandboxes=1) as engine:
        with pytest.raises(weftrun.StepFailed, match=r"longer than timeout_s=0\.3"):
            engine.run(function, sign)
        run = engine.start(f.inc, 1)
        assert run.result(30) == 2
    assert not processes_with(sign)


def test_a_stopped_process_is_late_too(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.StepFailed, match=r"longer than timeout_s=0\.3"):
        engine.run(f.stops_itself)
    assert engine.run(f.inc, 1) == 2


def test_a_function_that_closes_the_channel_is_lost(engine: weftrun.Engine) -> None:
    with pytest.raises(weftrun.StepFailed) as caught:
        engine.run(f.closes_everything)
    assert "\n" not in str(caught.value)
    assert engine.run(f.inc, 1) == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_function_that_kills_what_it_reaches_of_its_engine(
    engine: weftrun.Engine, tmp_path: Path, number: int
) -> None:
    """In a pid namespace it reaches nothing; without one it ends its zygote, and its Attempts are lost."""
    ledger = tmp_path / "ledger"
    neighbour = engine.start(f.naps, 0.3)
    run = engine.start(f.kills_its_parent, str(ledger), int(number))
    try:
        answer = run.result(60)
    except weftrun.StepFailed as error:
        answer = str(error)
    assert answer == "went on" or "zygote" in answer
    assert 1 <= len(ledger.read_text().splitlines()) <= 3
    assert neighbour.result(60) == "woke"
    assert engine.run(f.inc, 1) == 2


@pytest.mark.parametrize("whom", ["zygote", "Sandboxes"])
def test_what_is_killed_from_outside_is_made_anew(
    nothing_left: set[int],  # noqa: F811  # its value: what is not the engine's
    engine: weftrun.Engine,
    tmp_path: Path,
    whom: str,
) -> None:
    ledger, go = tmp_path / "ledger", tmp_path / "go"
    runs = [engine.start(f.noted_after_file, str(ledger), str(go), i) for i in range(2)]
    wait_until(lambda: ledger.exists() and len(ledger.read_text().splitlines()) == 2, "both were entered")
    # The zygote is the child of this process, or its child where it is PID 1 of a namespace; Sandboxes have none.
    below = descendants() - nothing_left
    killed = [pid for pid in below if bool(descendants(pid)) == (whom == "zygote")]
    assert killed
    for pid in killed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    dead = below if whom == "zygote" else killed
    wait_until(lambda: not any(map(lives, dead)), "what was killed has ended, and its children with it")
    go.touch()
    assert [run.result(60) for run in runs] == [0, 1]
    assert len(ledger.read_text().splitlines()) == 4
    assert engine.run(f.chain, 3) == 3


def test_a_memfd_without_seals_is_copied_before_anybody_reads_it(url: str) -> None:
    with weftrun.open(url, sandboxes=1) as engine:
        # One Sandbox runs all three Steps, so that the second still has the first one's descriptor.
        could, sound = engine.start(f.tampers, 200_000).result(60)
    assert (could, sound) == (True, True)


AT_IMPORT = """
import weftrun

@weftrun.function
def inc(x): return x + 1

engine = weftrun.open({url!r}, sandboxes=1)
try:
    print(engine.run(inc, 1))
except weftrun.WeftrunError as error:
    print(type(error).__name__, error)
engine.close()
"""


def test_open_at_import_is_refused_in_the_sandbox(url: str, tmp_path: Path) -> None:
    """A script without the guard works by itself, but a Sandbox that imports it must not open an engine."""
    script = tmp_path / "unguarded.py"
    script.write_text(AT_IMPORT.format(url=url))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert f"weftrun.open(...) was reached while a Sandbox imported {script}." in done.stdout
    assert "Put it under `if __name__ == '__main__':`." in done.stdout
    wait_until(lambda: not processes_with(str(script)), "no process is left of the script")
