"""Two engines on one SQLite file, beside one alone."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from bench.figure import ROOT, Figure, Setting
from bench.small_steps import THREADS

_P99 = 0.99


def _at_once(setting: Setting, count: int) -> list[dict[str, Any]]:
    """Let so many engines, each a process, share a new file, Sandboxes and 16 threads; return what each told."""
    url = f"sqlite:///{tempfile.mkdtemp(dir=setting.folder)}/journal.db"
    sized = (max(setting.sandboxes // count, 1), THREADS // count, setting.sizes.runs_per_thread)
    command = [sys.executable, "-m", "bench.engine_side", url, *map(str, sized)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for _ in range(count)
        ]
        if any(_line(process) != "ready\n" for process in processes):
            raise RuntimeError("an engine did not begin")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        return [json.loads(_line(process)) for process in processes]


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _runs_a_second(told: Sequence[dict[str, Any]], setting: Setting) -> float:
    took = max(each["ended"] for each in told) - min(each["begun"] for each in told)
    return float(THREADS * setting.sizes.runs_per_thread / took)


def _p99_ms(told: Sequence[dict[str, Any]]) -> float:
    seconds = sorted(second for each in told for second in each["commits"])
    return float(seconds[int(len(seconds) * _P99)]) * 1e3


def engines(setting: Setting) -> list[Figure]:
    """Measure one engine, then two with the same threads and Sandboxes between them, in turn."""
    each = setting.sizes.runs_per_thread
    shared = (
        f"two processes with an engine each on one file, {THREADS // 2} threads and {max(setting.sandboxes // 2, 1)} "
        f"Sandboxes each, {each} one-step Runs a thread, from the first that begins to the last that ends. "
        f"Floor: one process with {THREADS} threads and {setting.sandboxes} Sandboxes."
    )
    together = Figure(
        "two engines, one SQLite file, one-step Runs", "Runs/s", "one alone", shared, must=0.8, at_least=True
    )
    p99 = Figure(
        "two engines, p99 of a commit", "ms", "one alone", "appends of these Runs, from call to return; " + shared
    )
    worst = Figure("two engines, slowest commit", "ms", "one alone", "the same.")
    for _ in range(setting.rounds):
        alone = _at_once(setting, 1)
        both = _at_once(setting, 2)
        together.add(_runs_a_second(both, setting), _runs_a_second(alone, setting))
        p99.add(_p99_ms(both), _p99_ms(alone))
        worst.add(*(max(second for each in told for second in each["commits"]) * 1e3 for told in (both, alone)))
    return [together, p99, worst]
