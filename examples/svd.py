"""Take the singular value decomposition of a tall matrix by blocks, and hold it against numpy's of the whole.

    python examples/svd.py [--id ID] [--blocks 8] [--rows 10000] [--columns 64]    # rows are those of a block

Each block is split into Q·R, and the small R's are joined two by two up a tree; the last R's singular values are the
matrix's. A block is one Object: shared memory that its maker seals and its reader maps. `is_shared` looks in /proc: the
reader's array stands on the mapped bytes, so nobody copied them (after a crash some come from the Journal's files).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by numpy's import: a Sandbox a processor is parallel enough
import numpy as np
from numpy.typing import NDArray

import weftrun
from weftrun import Function, function, workflow

Matrix = NDArray[np.float64]
times = function(np.matmul, name="times", effects="none")  # somebody else's callables are made Functions like this
last: Function[[Matrix], tuple[Matrix, Matrix, Matrix]] = function(np.linalg.svd, name="last", effects="none")


def is_shared(array: Matrix) -> bool:
    """Say whether the array's own bytes lie in a mapped memfd, and are read-only."""
    at = array.__array_interface__["data"][0]
    maps = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines() if "/memfd:" in line]
    spans = [[int(address, 16) for address in span.split("-")] for span, *_ in maps]
    return not array.flags.writeable and any(begin <= at < end for begin, end in spans)


@function(deterministic=True, effects="none")
def block(number: int, rows: int, columns: int) -> Matrix:
    return np.random.default_rng(number).standard_normal((rows, columns))


@function(effects="none")
def split(rows: Matrix) -> tuple[Matrix, Matrix, bool]:
    return *np.linalg.qr(rows), is_shared(rows)


@function(effects="none")
def join(upper: Matrix, lower: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    q, r = np.linalg.qr(np.vstack([upper, lower]))
    return q[: len(upper)], q[len(upper) :], r


def tree(rs: list[Matrix]) -> tuple[list[Matrix], Matrix, Matrix]:
    """Wire the tree over these R's; return what each one's Q is to be multiplied by, the singular values, and Vᵀ."""
    if len(rs) == 1:
        usv = last(rs[0])  # numpy doesn't annotate a tuple of three, so it is taken apart by position
        return [usv[0]], usv[1], usv[2]
    joined = [join(upper, lower) for upper, lower in zip(rs[::2], rs[1::2], strict=False)]
    above, s, vt = tree([r for _, _, r in joined] + rs[2 * len(joined) :])  # an odd one goes up as it is
    below = [times(q, f) for (upper, lower, _), f in zip(joined, above, strict=False) for q in (upper, lower)]
    return below + above[len(joined) :], s, vt


@workflow
def svd(blocks: int, rows: int, columns: int) -> tuple[list[Matrix], Matrix, Matrix, list[bool]]:
    """Return U by blocks, the singular values, Vᵀ, and which blocks were read in shared memory."""
    parts = [split(block(number, rows, columns)) for number in range(blocks)]
    factors, s, vt = tree([r for _, r, _ in parts])
    return [times(q, f) for (q, _, _), f in zip(parts, factors, strict=True)], s, vt, [shared for *_, shared in parts]


def main() -> int:
    parser = argparse.ArgumentParser(description="Take the SVD of a tall matrix by blocks.")
    parser.add_argument("--id", default=f"svd-{time.time_ns()}", help="id of the Run (default: a fresh one)")
    for name, default in (("blocks", 8), ("rows", 10_000), ("columns", 64)):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default: {default}")
    options = parser.parse_args()
    blocks, rows, columns = options.blocks, options.rows, options.columns
    if not (1 <= blocks <= 256 and 1 <= columns <= min(rows, 1_000) and blocks * rows * columns <= 2**27):
        parser.error("take 1 to 256 blocks and 1 to 1,000 columns, no more columns than rows, and at most 1 GiB in all")
    with weftrun.open() as engine:
        print(f"Run {options.id}: {blocks} blocks of {rows * columns * 8 / 1e6:,.1f} MB", file=sys.stderr)
        parts, s, vt, shared = engine.run(svd.options(id=options.id), blocks, rows, columns)
    u, a = np.concatenate(parts), np.concatenate([block(number, rows, columns) for number in range(blocks)])
    whole = np.linalg.svd(a, compute_uv=False)
    orthogonal, product = np.abs(u.T @ u - np.eye(columns)).max(), np.linalg.norm(u * s @ vt - a) / np.linalg.norm(a)
    error = max(orthogonal, product, np.abs(s - whole).max() / whole[0])
    print(f"{len(a):,} × {columns}, singular values {s[0]:.6g} to {s[-1]:.6g}")
    print(f"{sum(shared)} of {blocks} blocks were read in the shared memory that they were made in")
    print(f"relative error against numpy.linalg.svd of the whole: {error:.1e} (accepted: 1e-10)")
    return int(not error <= 1e-10)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except weftrun.WeftrunError as problem:
        sys.exit(f"svd.py: {problem}")
