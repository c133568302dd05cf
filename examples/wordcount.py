"""Count the words of all Python sources of this interpreter: its standard library and its site-packages.

    python examples/wordcount.py [--id ID]

The same id again gives the same answer at once; after a crash it finishes what is left.
"""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
import time
from collections import Counter
from pathlib import Path

import weftrun
from weftrun import function, workflow

WORD = re.compile(r"[A-Za-z_]\w+")


@function(effects="none")
def count(path: str) -> Counter[str]:
    """Count the words of one file."""
    return Counter(WORD.findall(Path(path).read_text(encoding="utf-8", errors="replace")))


@function(deterministic=True, effects="none")
def merge(parts: list[Counter[str]], top: int = 10) -> list[tuple[str, int]]:
    """Add the counts up and return the most frequent words."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return total.most_common(top)


@workflow
def wordcount(paths: list[str], top: int = 10) -> list[tuple[str, int]]:
    """Count the words of many files in parallel."""
    return merge(count.map(paths), top=top)


def sources() -> list[str]:
    """Return all Python sources of the running interpreter's library folders, in a fixed order."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")}
    return sorted({str(path) for folder in folders for path in Path(folder).rglob("*.py") if path.is_file()})


def main() -> int:
    """Run the example."""
    parser = argparse.ArgumentParser(description="Count the words of this interpreter's Python sources.")
    parser.add_argument("--id", default=f"wordcount-{time.time_ns()}", help="id of the Run (default: a fresh one)")
    parser.add_argument("--limit", type=int, default=None, help="take only so many files")
    options = parser.parse_args()
    paths = sources()[: options.limit]
    with weftrun.open() as engine:
        begun = time.perf_counter()
        run = engine.start(wordcount.options(id=options.id), paths)
        print(f"Run {run.id}: {len(paths):,} files", file=sys.stderr)
        words = run.result()
        seconds = time.perf_counter() - begun
    for word, times in words:
        print(f"{times:>9,}  {word}")
    steps = len(paths) + 1
    print(f"\n{steps:,} Steps in {seconds:.2f} s: {steps / seconds:,.0f} Steps/s, all durable.", file=sys.stderr)
    print(f"What happened: weftrun timeline {run.id} --html timeline-{run.id}.html", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
