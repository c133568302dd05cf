"""Functions on arrays; apart, so that other tests need not import numpy in every Sandbox."""

from __future__ import annotations

import numpy as np

from weftrun import function


@function
def array(n: int) -> np.ndarray:
    return np.arange(n, dtype=np.float64)


@function
def array_sum(values: np.ndarray) -> float:
    assert not values.flags.writeable
    return float(values.sum())
