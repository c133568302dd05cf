"""weftrun beside DBOS on SQLite: the same small Steps, each durable, in the same rounds. A peer: there is no target."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from typing import Any

from bench import programs
from bench.figure import ROOT, Absent, Figure, Setting, engine
from bench.small_steps import THREADS, calls_a_second, chain_us, run_us

import weftrun

_MODES = {"default": "as it comes", "wal": "on WAL"}
_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def dbos_side(setting: Setting, mode: str, steps: int, each: int, calls: int) -> dict[str, Any]:
    """Let DBOS do so much in a new process, on a new file or at the URL that `mode` is; return what it told."""
    folder = tempfile.mkdtemp(dir=setting.folder)
    done = subprocess.run(
        [sys.executable, "-m", "bench.dbos_side", folder, mode, *map(str, (steps, each, calls))],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"DBOS ended with exit code {done.returncode}:\n{done.stderr.strip()}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def _figures(setting: Setting, mode: str) -> list[Figure]:
    sizes = setting.sizes
    beside = f"beside DBOS {mode}"
    return [
        Figure(f"chain, {beside}", "µs/Step", "",
               f"Steps of the default policy (durable before the next one starts), in Sandboxes; DBOS: one workflow, "
               f"steps in its own process. {sizes.dbos_chain_steps} each."),
        Figure(f"one-step Runs, {THREADS} threads, {beside}", "µs/Run", "",
               f"engine.run of a Step of the default policy, against a DBOS workflow of one step; "
               f"{sizes.dbos_runs_per_thread} from each of {THREADS} threads, on both sides."),
        Figure(f"fan-out of {sizes.dbos_calls:,}, {beside}", "Steps/s", "",
               "one Run of separate calls with the default policy, against asyncio.gather of async DBOS steps in one "
               "workflow.", at_least=True),
    ]  # fmt: skip


def beside_dbos(setting: Setting) -> list[Figure]:
    """Measure both sides in turn: DBOS as it comes, and with the Journal's own SQLite settings."""
    if importlib.util.find_spec("dbos") is None:
        raise Absent("DBOS is not installed here: pip install 'weftrun[bench]'.")
    sizes = setting.sizes
    table = {mode: _figures(setting, words) for mode, words in _MODES.items()}
    sized = (sizes.dbos_chain_steps, sizes.dbos_runs_per_thread, sizes.dbos_calls)
    with engine(setting) as opened:
        for _ in range(setting.rounds):
            for mode, figures in table.items():
                told = dbos_side(setting, mode, *sized)
                _add(opened, figures, sized, told)
        return [figure for figures in table.values() for figure in figures] + [_large_fan_out(setting, opened)]


def _large_fan_out(setting: Setting, opened: weftrun.Engine) -> Figure:
    """Take one fan-out of the size that others are asked for. Once: DBOS takes more than a minute for 10,000."""
    calls = setting.sizes.dbos_calls_once
    figure = Figure(
        f"fan-out of {calls:,}, beside DBOS {_MODES['wal']}, once", "Steps/s", "", "as above.", at_least=True
    )
    told = dbos_side(setting, "wal", 0, 0, calls)
    figure.add(calls_a_second(opened, programs.plain_fan_out, calls, figure), told["calls_a_second"])
    figure.floor = _named(told)
    return figure


def _add(opened: weftrun.Engine, figures: list[Figure], sized: tuple[int, int, int], told: dict[str, Any]) -> None:
    chain, runs, fan_out = figures
    steps, each, calls = sized
    chain.add(chain_us(opened, programs.default_chain, steps, chain), told["step_us"])
    runs.add(run_us(opened, each, runs), told["run_us"])
    fan_out.add(calls_a_second(opened, programs.plain_fan_out, calls, fan_out), told["calls_a_second"])
    for figure in figures:
        figure.floor = _named(told)


def _named(told: dict[str, Any]) -> str:
    """Return which DBOS it was, with the settings that were found on all its connections."""
    settings = " and ".join(f"{mode} {_SYNCHRONOUS[synchronous]}" for mode, synchronous in told["settings"])
    return f"DBOS {told['version']} ({settings}, SQLite {told['sqlite']})"
