"""How soon an engine knows what another one on the same Journal has done: told of it, and by looking."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

from bench import owning_side
from bench.figure import ROOT, Figure, Setting
from bench.server import serving
from tests.postgres.server import Server

import weftrun

_DEADLINE_S = 60.0
_PHASES = 7
"""Waits are of different lengths, so that they end anywhere between two looks."""


def hints(setting: Setting) -> list[Figure]:
    """Let an engine wait for the Runs of another one, and take over what one that closes hands over."""
    with serving() as server:
        return [*_on(setting, "SQLite", None), *_on(setting, "PostgreSQL", server)]


def _on(setting: Setting, name: str, server: Server | None) -> list[Figure]:
    by_looking = "the same by looking once a second"
    ended = Figure(
        f"{name}, another engine's Run, until its result is there", "ms", by_looking,
        "two processes with an engine each on one Journal; one waits in result() for a Run of the other: from when "
        f"its only Step may end until result() has returned; the median of {setting.sizes.hinted}, after waits of "
        "different lengths.",
    )  # fmt: skip
    handed = Figure(
        f"{name}, a Run of an engine that closes, until it goes on", "ms", by_looking,
        "two processes with an engine each on one Journal; one closes in the middle of a Step, its process stays "
        f"there: from the call of close(drain_s=0) until the other has entered it; the median of "
        f"{setting.sizes.hinted}, likewise.",
    )  # fmt: skip
    for _ in range(setting.rounds):
        told, looked = (_taken(setting, server, listens=listens) for listens in (True, False))
        for figure, values, floors in zip((ended, handed), told, looked, strict=True):
            figure.add(statistics.median(values) * 1e3, statistics.median(floors) * 1e3)
    return [ended, handed]


def _taken(setting: Setting, server: Server | None, *, listens: bool) -> tuple[list[float], list[float]]:
    """Return how long some results and hand-overs took, in seconds."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=setting.folder)))
        os.environ["WEFTRUN_FOLDER"] = str(folder)
        url = server.new_database() if server is not None else f"sqlite:///{folder}/journal.db"
        owner = stack.enter_context(_owner(url, folder))
        if not listens:
            stack.enter_context(mock.patch("weftrun.assembly.engine.hints_of", return_value=()))
        opened = stack.enter_context(weftrun.open(url, sandboxes=1))
        opened.run(owning_side.until_told, str(folder), ".")
        ended = [_ended_s(opened, owner, folder, number) for number in range(setting.sizes.hinted)]
        handed = [_handed_s(url, folder, number) for number in range(setting.sizes.hinted)]
    return ended, handed


@contextmanager
def _owner(url: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.owning_side", url, str(folder)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            _expect(process, "ready")
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _expect(process: subprocess.Popen[str], word: str) -> None:
    if _line(process) != word:
        raise RuntimeError("the engine that is waited for did not begin")


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")


def _ended_s(opened: weftrun.Engine, owner: subprocess.Popen[str], folder: Path, number: int) -> float:
    name, entered = f"ends-{number}", folder / "entered"
    before = entered.stat().st_size
    _say(owner, f"start {name}")
    _expect(owner, "started")
    _grown(entered, before)
    run = opened.get(name)
    let: list[float] = []

    def let_end() -> None:
        let.append(time.monotonic())
        (folder / name).touch()

    timer = threading.Timer(number % _PHASES / _PHASES, let_end)
    timer.start()
    run.result(timeout_s=_DEADLINE_S)
    came = time.monotonic()
    timer.join()
    _expect(owner, "ended")
    return came - let[0]


def _handed_s(url: str, folder: Path, number: int) -> float:
    name, entered = f"handed-{number}", folder / "entered"
    with _owner(url, folder) as leaving:
        before = entered.stat().st_size
        _say(leaving, f"leave {name}")
        _expect(leaving, "started")
        before = _grown(entered, before)
        time.sleep(number % _PHASES / _PHASES)
        _say(leaving, "go")
        begun = float(_line(leaving))
        _grown(entered, before)
        (folder / name).touch()
        return float(entered.read_bytes()[before:].split()[0]) - begun


def _grown(file: Path, size: int) -> int:
    """Return the size of a file when it is larger than that: somebody has entered the Step."""
    deadline = time.monotonic() + _DEADLINE_S
    while (now := file.stat().st_size) == size:
        if time.monotonic() > deadline:
            raise RuntimeError("nobody has entered the Run's Step")
        time.sleep(0.005)
    return now
