"""Figure 6: an ML pipeline by size of its data and by way of recording, and what a failure of each kind costs."""

from __future__ import annotations

import argparse
import hashlib
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import weftrun
from experiments.exoflow.training import PARTS, pipeline
from experiments.table import Table

_MODES = ("none", "auto", "async", "sync")
_FAILURES = {
    "ingestion": "stage.task",
    "preparation": "prepare-1.task",
    "trainer": "train-{middle}.task",
    "augmentation": "augment-{middle}-1.task",
    "cluster": "train-{middle}.cluster",
}
_ENDS_S = 600.0


@dataclass(frozen=True)
class Trained:
    """What became of one Run.

    Attributes:
        whole_s: with the start of the program, or of both, in seconds; `run_s` without.
        again: how many bodies were entered once more.
        answer: a digest of what was learnt.
    """

    whole_s: float
    run_s: float
    again: int
    answer: str


def run(quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
    """Measure each size in each way, in turns; then each failure in each way, beside the same without."""
    parser = argparse.ArgumentParser(prog="python -m experiments exoflow/pipeline")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1, 2] if quick else [1, 2, 3, 4], metavar="N")
    parser.add_argument("--epochs", type=int, default=6 if quick else 25, metavar="N")
    parser.add_argument("--samples", type=int, default=2 if quick else 5, metavar="N")
    parser.add_argument("--modes", nargs="+", choices=_MODES, default=list(_MODES), metavar="MODE")
    parser.add_argument("--failures", nargs="*", choices=_FAILURES, default=list(_FAILURES), metavar="KIND")
    chosen = parser.parse_args(arguments)
    sizes = [row for size in chosen.sizes for row in _of_size(out, size, chosen)]
    failures = [row for kind in chosen.failures for row in _of_failure(out, kind, chosen)]
    steps = (1 + 2 * PARTS * chosen.sizes[-1]) + chosen.epochs * (1 + PARTS * chosen.sizes[-1])
    notes = (
        "The trainer's state is kept every five epochs in each way, as in the original. Images, augmentation and "
        "training are numpy's, on processors alone; data come from a generator."
    )
    return [
        Table(
            "sizes",
            f"Medians of {chosen.samples} Runs, {chosen.epochs} epochs",
            ("times the data", "checkpoint", "s", f"to {chosen.modes[0]}"),
            sizes,
            notes,
        ),
        Table(
            "failures",
            f"One Run each, {chosen.sizes[-1]} times the data, {steps} Steps",
            ("failure", "checkpoint", "s", "to no failure", "bodies entered again"),
            failures,
            "cluster: the program that has the engine is killed, and started again at once; it goes on by itself.",
        ),
    ]


def _of_size(out: Path, size: int, chosen: argparse.Namespace) -> list[Sequence[object]]:
    taken: dict[str, list[float]] = {mode: [] for mode in chosen.modes}
    answers = set()
    for _ in range(chosen.samples):
        for mode in chosen.modes:
            trained = _trained(out, size, chosen.epochs, mode, "")
            taken[mode].append(trained.run_s)
            answers.add(trained.answer)
            assert not trained.again, "nothing has failed, and bodies were entered twice"
    assert len(answers) == 1, "the ways of recording have given different answers"
    median = {mode: statistics.median(seconds) for mode, seconds in taken.items()}
    return [(size, mode, median[mode], median[mode] / median[chosen.modes[0]]) for mode in chosen.modes]


def _of_failure(out: Path, kind: str, chosen: argparse.Namespace) -> list[Sequence[object]]:
    rows: list[Sequence[object]] = []
    size, epochs = chosen.sizes[-1], chosen.epochs
    for mode in chosen.modes:
        whole = _trained(out, size, epochs, mode, "")
        broken = _trained(out, size, epochs, mode, _FAILURES[kind].format(middle=epochs // 2))
        assert broken.answer == whole.answer, f"{kind} has changed what a Run with checkpoint={mode!r} answers"
        rows.append((kind, mode, broken.whole_s, broken.whole_s / whole.whole_s, broken.again))
    return rows


def _trained(out: Path, size: int, epochs: int, mode: str, trigger: str) -> Trained:
    """Run the pipeline in a program of its own, with a failure where one is asked for."""
    with TemporaryDirectory(dir=out) as folder:
        place = Path(folder).resolve()
        command = [sys.executable, "-m", "experiments.exoflow.pipeline", str(place), str(size), str(epochs), mode]
        if trigger:
            (place / trigger).touch()
        begun = time.perf_counter()
        program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        if trigger.endswith(".cluster"):
            while not (place / f"{trigger}.done").exists() and program.poll() is None:
                time.sleep(0.01)
            program.kill()
            program.communicate()
            program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        said = program.communicate(timeout=_ENDS_S)[0].split()
        whole_s = time.perf_counter() - begun
        assert program.returncode == 0, "the pipeline has failed"
        assert not trigger or (place / f"{trigger}.done").exists(), f"the failure {trigger} did not come to pass"
        entries = Counter((place / "ledger").read_text(encoding="utf-8").split())
    return Trained(whole_s, float(said[1]), entries.total() - len(entries), said[0])


def _main() -> None:
    """Run the pipeline on the Journal in a folder, or go on with it; print a digest of what was learnt, and seconds."""
    place, size, epochs, mode = sys.argv[1:]
    with weftrun.open(f"sqlite:///{place}/journal.db", sandboxes=2) as engine:
        begun = time.perf_counter()
        state = engine.run(pipeline.options(id="pipeline"), place, int(size), int(epochs), mode)
        taken_s = time.perf_counter() - begun
    assert state is not None
    print(hashlib.sha256(state.tobytes()).hexdigest()[:16], taken_s)


if __name__ == "__main__":
    _main()
