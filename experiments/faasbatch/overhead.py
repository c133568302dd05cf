"""What it takes to make clients of boto3 in one process, 1 to 10 at once: each its own, or one that is shared."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import weftrun
from experiments.faasbatch import functions
from experiments.table import Table

_AT_ONCE_MAX = 10


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:  # noqa: ARG001 - as experiments are called
    """Measure each point in fresh processes."""
    parser = argparse.ArgumentParser(prog="python -m experiments faasbatch/overhead")
    parser.add_argument("--rounds", type=int, default=1 if quick else 5, metavar="N", help="processes for each point")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    for at_once in (1, 5, 10) if quick else range(1, _AT_ONCE_MAX + 1):
        for way in ("own", "shared"):
            found = [_in_a_process(way, at_once) for _ in range(chosen.rounds)]
            first, later, kib = (statistics.median(part) for part in zip(*found, strict=True))
            rows.append((at_once, way, first, later, kib / 1024))
    title = f"clients of boto3, made at once by threads of one process; medians of {chosen.rounds} processes"
    notes = (
        "Mean time until a call has its client, in the first round of calls and in a second one, and memory that the "
        "process has taken for them in both."
    )
    return [Table("overhead", title, ("at once", "client", "first ms", "again ms", "memory MiB"), rows, notes)]


def _in_a_process(way: str, at_once: int) -> tuple[float, float, float]:
    command = [sys.executable, "-m", "experiments.faasbatch.overhead", way, str(at_once)]
    told = subprocess.run(command, capture_output=True, check=True, text=True)
    first, later, kib = json.loads(told.stdout)
    return first, later, kib


def _measure(way: str, at_once: int) -> tuple[float, float, float]:
    """Return mean milliseconds of two rounds of calls, and KiB of memory that they took."""
    before = _memory_kib()
    kept: list[object] = []
    first, later = (_round(way, at_once, kept) for _ in range(2))
    return first, later, _memory_kib() - before


def _round(way: str, at_once: int, kept: list[object]) -> float:
    took: list[float] = []
    together = threading.Barrier(at_once)

    def call() -> None:
        together.wait()
        began = time.perf_counter()
        if way == "own":
            kept.append(functions.make_client("eu-west-1", None))
        else:
            kept.append(weftrun.shared(functions.make_client, "eu-west-1", None))
        took.append(time.perf_counter() - began)

    threads = [threading.Thread(target=call) for _ in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return 1e3 * statistics.fmean(took)


def _memory_kib() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], int(sys.argv[2]))))
