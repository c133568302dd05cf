"""`python -m experiments PAPER/NAME [--quick] [--out DIR] [options of its own]`; without a name, the list of them.

An experiment is a module of a folder of this package, with a function `run(quick, out, arguments)` that measures and
returns its tables. Each table is printed and written to `DIR` as CSV.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, cast

import experiments
from experiments.table import Table


class Experiment(Protocol):
    """What a module of an experiment offers."""

    def run(self, quick: bool, out: Path, arguments: Sequence[str]) -> list[Table]:
        """Measure, small where `quick`, and return tables; files beside them (plots) go to the folder `out`."""


def names() -> list[str]:
    """Return the names of all experiments, as `paper/name`."""
    papers = [found.name for found in pkgutil.iter_modules(experiments.__path__) if found.ispkg]
    return sorted(
        f"{paper}/{found.name}"
        for paper in papers
        for found in pkgutil.iter_modules(importlib.import_module(f"experiments.{paper}").__path__)
        if hasattr(importlib.import_module(f"experiments.{paper}.{found.name}"), "run")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the experiment that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m experiments", description="Run an experiment of a paper.")
    parser.add_argument("name", nargs="?", help="PAPER/NAME; without it, the experiments are listed")
    parser.add_argument("--quick", action="store_true", help="small sizes and few samples, in about a minute")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR", help="where CSV and plots go")
    chosen, rest = parser.parse_known_args(arguments)
    known = names()
    if chosen.name is None:
        for name in known:
            print(f"{name:32} {(_module(name).__doc__ or '').strip().splitlines()[0]}")
        return 0
    if chosen.name not in known:
        print(f"There is no experiment {chosen.name!r}; there are: {', '.join(known) or 'none yet'}.", file=sys.stderr)
        return 2
    out = chosen.out / chosen.name
    out.mkdir(parents=True, exist_ok=True)
    for table in cast(Experiment, _module(chosen.name)).run(chosen.quick, out, rest):
        table.show()
        table.write(out)
    print(f"CSV in {out}")
    return 0


def _module(name: str) -> object:
    return importlib.import_module("experiments." + name.replace("/", "."))


if __name__ == "__main__":
    sys.exit(main())
