"""`python -m bench`: what weftrun costs, beside what this machine can do without it, in one run.

Every figure is taken in rounds, each beside its floor, and printed as median and range with the ratio of the medians.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import apsw
import msgspec
from bench import chart
from bench.figure import QUICK, ROOT, Absent, Figure, Setting, Sizes, table
from bench.groups import GROUPS, in_fresh_process

import weftrun

_QUICK_ROUNDS = 2


def describe(folder: Path) -> str:
    """Return what this machine is."""
    cpu = next((line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), "?")
    return (
        f"{cpu}, {os.cpu_count()} processors, Linux {platform.release()}, {_filesystem(folder)}, "
        f"Python {platform.python_version()}, SQLite {apsw.sqlite_lib_version()}, weftrun {weftrun.__version__}, "
        f"load {os.getloadavg()[0]:.1f} at the start"
    )


def _filesystem(folder: Path) -> str:
    """Return the kind of the filesystem that a folder lies on: that of the longest mount point above it."""
    mounts = [line.split()[1:3] for line in _lines("/proc/self/mounts")]
    above = [(len(point), kind) for point, kind in mounts if folder.is_relative_to(point)]
    return max(above)[1]


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def _new_file(text: str) -> Path:
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder of {text} does not exist: make it, or name another one")
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder: name a file in it")
    return file


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line; whatever can't be done is said before anything is measured."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=_count, help=f"rounds of each figure (5; {_QUICK_ROUNDS} with --quick)")
    parser.add_argument("--sandboxes", type=_count, default=os.cpu_count() or 1, help="Sandboxes (one a processor)")
    parser.add_argument("--quick", action="store_true", help="small sizes and few rounds: a look, not a measurement")
    parser.add_argument(
        "--only",
        action="append",
        choices=GROUPS,
        metavar="NAME",
        help=f"one group, again for more: {', '.join(GROUPS)}",
    )
    parser.add_argument("--json", type=_new_file, metavar="FILE", help="write all values to this file")
    parser.add_argument("--chart", type=_new_file, metavar="FILE.png", help="draw the ratios against their targets")
    options = parser.parse_args(arguments)
    if options.chart:
        if options.chart.suffix != ".png":
            parser.error(f"argument --chart: {options.chart} must end in .png")
        try:
            chart.require()
        except Absent as absent:
            parser.error(f"argument --chart: {absent}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the files that were asked for."""
    options = parsed(arguments)
    rounds = options.rounds or (_QUICK_ROUNDS if options.quick else 5)
    figures: list[Figure] = []
    absent: dict[str, str] = {}
    # What is installed has its bytecode beside it, whatever this environment says of a source tree.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    compileall.compile_dir(ROOT / "src", quiet=2)
    with tempfile.TemporaryDirectory(dir=".", prefix=".bench-") as name:  # on this disk, not on a tmpfs
        folder = Path(name).resolve()
        machine = describe(folder)
        setting = Setting(folder, rounds, options.sandboxes, QUICK if options.quick else Sizes())
        for group in dict.fromkeys(options.only or GROUPS):
            print(f"{group} …", file=sys.stderr, flush=True)
            try:
                figures += in_fresh_process(group, setting)
            except Absent as missing:
                absent[group] = str(missing)
    print(f"{machine}; {rounds} rounds, {options.sandboxes} Sandboxes\n\n{table(figures)}")
    for group, why in absent.items():
        print(f"{group}: not measured. {why}")
    if options.json:
        told = {
            "machine": machine, "rounds": rounds, "sandboxes": options.sandboxes, "sizes": setting.sizes,
            "absent": absent,
            "figures": [_told(figure) for figure in figures],
        }  # fmt: skip
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(told)))
    if options.chart:
        try:
            chart.draw(figures, machine, options.chart)
        except Absent as nothing:
            print(nothing, file=sys.stderr)
            return 1
    return 0


def _told(figure: Figure) -> dict[str, object]:
    return {**msgspec.structs.asdict(figure), "ratio": figure.ratio, "verdict": figure.verdict}


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
