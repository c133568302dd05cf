"""Figure 8a: how long until a Run begins, and until what its first Step returns is in the hands of the next one."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import weftrun
from experiments.exoflow.functions import handed_over, payload
from experiments.table import Table

_MODES = ("none", "auto", "async", "sync")
_SIZES = (1, 128 * 1024, 1024**2, 32 * 1024**2, 128 * 1024**2)
_WARM_UPS = 3
_COLUMNS = (
    "payload bytes", "checkpoint", "trigger ms", "hand-over ms", "end to end ms", "one copy ms", "hand-over / floor",
)  # fmt: skip


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure each payload in each way of recording, in turns, so that a change of the host's load meets all ways."""
    parser = argparse.ArgumentParser(prog="python -m experiments exoflow/handover")
    parser.add_argument("--samples", type=int, default=3 if quick else 15, metavar="N", help="after three warm-ups")
    parser.add_argument("--bytes-max", type=int, default=_SIZES[3 if quick else 4], metavar="N", help="largest payload")
    chosen = parser.parse_args(arguments)
    rows: list[Sequence[object]] = []
    smallest: dict[str, float] = {}
    with TemporaryDirectory(dir=out) as folder, weftrun.open(f"sqlite:///{folder}/journal.db") as engine:
        for nbytes in (size for size in _SIZES if size <= chosen.bytes_max):
            taken = _taken(engine, nbytes, chosen.samples)
            copy_ms = _copy_ms(nbytes, chosen.samples)
            for mode in _MODES:
                trigger, step, whole = (statistics.median(part) for part in zip(*taken[mode], strict=True))
                floor = smallest.setdefault(mode, step) + copy_ms
                rows.append((nbytes, mode, trigger, step, whole, copy_ms, step / floor))
    notes = (
        "Medians. Trigger: from the request until the first Step begins. Hand-over: from there until the second one "
        "begins with the value. Floor: the hand-over of one byte in the same way, and one copy of the payload into new "
        "memory."
    )
    return [Table("handover", f"{chosen.samples} Runs of two Steps for each line", _COLUMNS, rows, notes)]


def _taken(engine: weftrun.Engine, nbytes: int, samples: int) -> dict[str, list[tuple[float, float, float]]]:
    """Return of each way the milliseconds until the first Step began, until the second one did, and to the end."""
    taken: dict[str, list[tuple[float, float, float]]] = {mode: [] for mode in _MODES}
    for number in range(_WARM_UPS + samples):
        for mode in _MODES:
            asked = time.time()
            produced, consumed, there = engine.run(handed_over, nbytes, mode)
            ended = time.time()
            assert there == nbytes, "the second Step was handed something else"
            if number >= _WARM_UPS:
                taken[mode].append((1e3 * (produced - asked), 1e3 * (consumed - produced), 1e3 * (ended - asked)))
    return taken


def _copy_ms(nbytes: int, samples: int) -> float:
    source, taken = payload(nbytes), []
    for _ in range(_WARM_UPS + samples):
        begun = time.perf_counter()
        source.copy()
        taken.append(1e3 * (time.perf_counter() - begun))
    return statistics.median(taken[_WARM_UPS:])
