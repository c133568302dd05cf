"""What the host's process can do to its engine: fork, exit without closing, signals, a system that is not Linux."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import assert_closed
from tests.engine.leftovers import descendants, lives, nothing_left, wait_until, warm  # noqa: F401

import weftrun


def python(program: str, *words: object, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=timeout_s, check=False)


FORKED = """
import asyncio, gc, os, sys, weftrun
from tests.engine import faulty as f
url, other = sys.argv[1:]

async def awaited(run):
    return await run

engine = weftrun.open(url, sandboxes=1)
run = engine.start(f.inc.options(id="one"), 1)
going = engine.start(f.naps, 0.5)
assert run.result(30) == 2
child = os.fork()
if child == 0:
    uses = {
        "run": lambda: engine.run(f.inc, 1),
        "start": lambda: engine.start(f.inc, 1),
        "get": lambda: engine.get("one"),
        "list": lambda: engine.list(),
        "result": lambda: going.result(5),
        "await": lambda: asyncio.run(awaited(going)),
        "steps": lambda: run.steps(),
        "logs": lambda: run.logs(),
        "cancel": lambda: going.cancel(),
        "large": lambda: engine.run(f.total, list(range(100_000))),
        "open": lambda: weftrun.open(url),
    }
    for name, use in uses.items():
        try:
            print(name, "worked", use())
        except weftrun.WeftrunError as error:
            print(name, type(error).__name__, error)
    engine.close()
    with weftrun.open(other, sandboxes=1) as own:
        print("own", own.run(f.inc, 41))
    del engine, run, going, own
    gc.collect()
    sys.exit(7)
print("child", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("parent", going.result(30), engine.run(f.chain, 5), engine.get("one").result(60))
engine.close()
"""


def test_a_fork_of_the_host_gets_its_own_engine_or_none(url: str, tmp_path: Path) -> None:
    done = python(FORKED, url, f"sqlite:///{tmp_path / 'other.db'}")
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    for name in ("run", "start", "get", "list", "result", "await", "steps", "logs", "cancel", "large"):
        assert told[name].startswith("EngineClosed This engine was opened in another process"), name
    assert told["open"].startswith("JournalBusy")
    assert (told["own"], told["child"], told["parent"]) == ("42", "7", "woke 5 2")
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("one").result(60) == 2
    assert_closed(url)


UNCLOSED = """
import os, sys, weftrun
from tests.engine import faulty as f
engine = weftrun.open(sys.argv[1], sandboxes=2)
assert engine.run(f.inc, 1) == 2
engine.start(f.naps.options(id="left"), 300 if sys.argv[2] == "busy" else 0.01)
"""


@pytest.mark.parametrize("what", ["busy", "nearly done"])
def test_a_program_that_ends_without_closing_ends(url: str, what: str) -> None:
    done = python(UNCLOSED, url, what)
    assert (done.returncode, done.stderr) == (0, "")
    with weftrun.open(url, sandboxes=1) as engine:
        assert engine.get("left").status in ("running", "pending", "succeeded")
    assert_closed(url)


WAITING = """
import sys, weftrun
from tests.engine import faulty as f
with weftrun.open(sys.argv[1], sandboxes=2) as engine:
    run = engine.start(f.naps.options(id="waiting"), 300)
    print("up", flush=True)
    run.result()
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_a_program_leaves_no_process_and_a_run_to_resume(url: str, number: int) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WAITING, url]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    wait_until(lambda: len(descendants(process.pid)) >= 2, "a Sandbox is there")
    below = descendants(process.pid)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in (-number, 1)
    wait_until(lambda: not any(map(lives, below)), "no process outlives it")
    with weftrun.open(url, sandboxes=1, recover="none") as engine:
        run = engine.get("waiting")
        assert run.status == "running"
        run.cancel()
        with pytest.raises(weftrun.RunCancelled):
            run.result(30)
    assert_closed(url)


ELSEWHERE = """
import sys
import click  # which asks for the platform itself
for missing in ("fcntl", "uvloop", "termios", "resource", "apsw"):
    sys.modules[missing] = None
sys.platform = {platform!r}
import weftrun

@weftrun.function
def inc(x): return x + 1

print(inc(1))
for use in (weftrun.open, lambda: weftrun.run(inc, 1)):
    try:
        use()
    except weftrun.WeftrunError as error:
        print(type(error).__name__, error)
from weftrun.entrypoints.cli import main
print(int(main(["list"])))
"""


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_another_platform_is_told_in_one_sentence(platform: str) -> None:
    """There, modules that only Linux has are missing too."""
    done = python(ELSEWHERE.format(platform=platform))
    assert done.returncode == 0, done.stderr
    sentence = f"weftrun runs on Linux; this is {platform}. In a container or WSL 2 it works."
    assert done.stdout.splitlines() == ["2", *[f"Unsupported {sentence}"] * 2, "2"]
    assert done.stderr == f"{sentence}\n"
