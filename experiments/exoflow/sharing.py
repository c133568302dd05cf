"""Figure 8b: one large frame and 1 to 8 Steps that sample it, by reference beside a file that each reads."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import weftrun
from experiments.exoflow.functions import by_file, shared
from experiments.table import Table

_COLUMNS = ("consumers", "by reference s", "copies", "by file s", "copies by file", "file / reference")
_WARM_UPS = 3
"""The frame is made once in each Sandbox; these are not counted."""
Sampled = list[tuple[int, str]]


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure each number of consumers, by reference and by file in turns."""
    parser = argparse.ArgumentParser(prog="python -m experiments exoflow/sharing")
    parser.add_argument("--rows", type=int, default=2**14 if quick else 2**18, metavar="N", help="of 1 KiB each")
    parser.add_argument("--samples", type=int, default=2 if quick else 5, metavar="N", help="after warm-ups")
    parser.add_argument("--consumers", type=int, default=4 if quick else 8, metavar="N", help="at most")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    with TemporaryDirectory(dir=out) as folder, weftrun.open(f"sqlite:///{folder}/journal.db") as engine:
        for count in range(1, chosen.consumers + 1):
            ways: list[Callable[[], Sampled]] = [
                lambda count=count: engine.run(shared, chosen.rows, count),  # type: ignore[misc]
                lambda count=count: engine.run(by_file, chosen.rows, count, f"{folder}/frame.npy"),  # type: ignore[misc]
            ]
            taken: list[list[float]] = [[], []]
            copies = [0, 0]
            for number in range(_WARM_UPS + chosen.samples):
                answers = []
                for way, (ask, times) in enumerate(zip(ways, taken, strict=True)):
                    begun = time.perf_counter()
                    sampled = ask()
                    if number >= _WARM_UPS:
                        times.append(time.perf_counter() - begun)
                    copies[way] = _copies(sampled)
                    answers.append([positive for positive, _ in sampled])
                assert answers[0] == answers[1], "the two ways have sampled different frames"
            reference, file = (statistics.median(times) for times in taken)
            rows.append((count, reference, copies[0], file, copies[1], file / reference))
    megabytes = chosen.rows * 1024 / 1e6
    notes = "Medians of whole Runs; the frame was made before. Copies: pieces of memory that the consumers read."
    return [Table("sharing", f"A frame of {megabytes:,.0f} MB, {chosen.samples} Runs a line", _COLUMNS, rows, notes)]


def _copies(sampled: Sampled) -> int:
    """Return in how many pieces of memory the frame lay that these consumers have read."""
    places = [place for _, place in sampled]
    return len({place for place in places if place}) + places.count("")
