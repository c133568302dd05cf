"""What weftrun costs where nothing is done: the import, opening, an engine that rests."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench.figure import ROOT, Figure, Setting, limit, timed
from bench.memory import family, pss_bytes, used

SETTLE_S = 1.5


def _interpreter(code: str) -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True))


@contextmanager
def kept_open(*arguments: str) -> Iterator[tuple[int, str]]:
    """Give the pid and the first line of a process that waits until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, *arguments], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield process.pid, process.stdout.readline()


def _bare_pss_mb() -> float:
    with kept_open("-c", "import sys; print(flush=True); sys.stdin.read()") as (pid, _):
        return pss_bytes(pid) / 1e6


def at_rest(setting: Setting) -> list[Figure]:
    """Start interpreters with and without the import, then let an engine rest and look at it from outside."""
    imported = limit(
        "import weftrun", "ms", 60, "a new interpreter that imports weftrun, less one that imports nothing, both from "
        f"bytecode; the median of {setting.sizes.imports} pairs a round. msgspec imports typing_extensions where it is "
        "installed, as DBOS has it here: 16 ms of it.",
    )  # fmt: skip
    first = limit("weftrun.open, first", "ms", 300, "first call in a process, which makes the Journal; from bytecode.")
    second = limit("weftrun.open, second", "ms", 300, "second call in a process, on the Journal of the first.")
    rests = f"an engine that has run 64 Steps, {setting.sandboxes} Sandboxes open, over {setting.sizes.idle_s:g} s: "
    idle = limit("idle engine, processor", "%", 0.1, rests + "time of all threads of all its processes.")
    wakes = limit("idle engine, wake-ups", "1/s", 1, rests + "times a thread of any of them went back to sleep.")
    parts = [
        Figure(f"{name} at rest, PSS", "MB", "bare interpreter", "proportional share of memory, one process of it. "
               "Floor: an interpreter that has imported nothing.")
        for name in ("engine", "zygote", "Sandbox")
    ]  # fmt: skip
    for _ in range(setting.rounds):
        pairs = [(_interpreter("pass"), _interpreter("import weftrun")) for _ in range(setting.sizes.imports)]
        imported.add(statistics.median(late - bare for bare, late in pairs) * 1e3, 60)
        folder = tempfile.mkdtemp(dir=setting.folder)
        with kept_open("-m", "bench.resting", folder, str(setting.sandboxes)) as (pid, line):
            told = json.loads(line)
            first.add(told["first_s"] * 1e3, 300)
            second.add(told["second_s"] * 1e3, 300)
            time.sleep(SETTLE_S)
            percent, rate = looked_at(family(pid), setting.sizes.idle_s)
            idle.add(percent, 0.1)
            wakes.add(rate, 1)
            bare_mb = _bare_pss_mb()
            for figure, nbytes in zip(parts, _by_part(pid), strict=True):
                figure.add(nbytes / 1e6, bare_mb)
    return [imported, first, second, idle, wakes, *parts]


def looked_at(pids: list[int], seconds: float) -> tuple[float, float]:
    """Return the processor time in percent of one processor, and wake-ups a second."""
    cpu_before, sleeps_before = used(pids)
    time.sleep(seconds)
    cpu, sleeps = used(pids)
    return 100 * (cpu - cpu_before) / seconds, (sleeps - sleeps_before) / seconds


def _by_part(engine: int) -> tuple[float, float, float]:
    """Return the memory of the engine, of its zygote, and of one Sandbox of it, in bytes."""
    inner = family(engine)[1:]
    leaves = [pid for pid in inner if len(family(pid)) == 1]
    zygote = [pid for pid in inner if pid not in leaves]
    return (
        float(pss_bytes(engine)),
        float(sum(pss_bytes(pid) for pid in zygote)),
        statistics.mean(pss_bytes(pid) for pid in leaves),
    )
