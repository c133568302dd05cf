"""A seeded matrix in 16 blocks of rows, and what is done with them in both versions."""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read by numpy's import: a Sandbox a processor is parallel enough
import numpy as np
from numpy.typing import NDArray

BLOCKS = 16
Matrix = NDArray[np.float64]


def blocks(rows: int) -> list[Matrix]:
    """Return a matrix of whole numbers from 0 to 99, a 16th as wide as it is tall, in blocks of rows."""
    whole = np.random.default_rng(7).integers(0, 100, (rows, max(1, rows // 16))).astype(np.float64)
    return np.array_split(whole, BLOCKS)


def reduced(block: Matrix) -> Matrix:
    """Return ΣVᵀ of a block, which has the same singular values."""
    _, values, right = np.linalg.svd(block, full_matrices=False)
    return values[:, np.newaxis] * right


def largest(parts: list[Matrix]) -> list[float]:
    """Return the five largest singular values of the matrix of which these are the parts."""
    values = np.linalg.svd(np.concatenate(parts), compute_uv=False)
    return [round(float(value), 6) for value in values[:5]]
